//! Handles each stanza that a client sends.

mod asked;
pub(crate) mod code;
mod group;
mod iq;
pub(crate) mod login;
mod message;
pub(crate) mod pair;
pub(crate) mod passkey;
mod prekeys;
mod receipt;
mod usync;

use wacore_binary::Node;

use crate::peer::Peer;
use crate::sync::lock;
use crate::wire;

/// Handles one stanza. An error ends the connection.
pub(crate) fn handle(peer: &mut Peer, node: Node) -> anyhow::Result<()> {
    tracing::trace!(socket = peer.socket.id, node = %wacore::xml::DisplayableNode(&node), "in");
    match node.tag.as_ref() {
        "iq" => iq::handle(peer, &node)?,
        "message" => message::handle(peer, node),
        "receipt" => receipt::handle(peer, &node),
        "ack" => receipt::acknowledged(peer, &node),
        "presence" => presence(peer, &node),
        // typing, session and batch notices, and others that need no answer
        _ => {}
    }
    Ok(())
}

/// Takes the push name from the presence of a companion.
fn presence(peer: &Peer, node: &Node) {
    let Some((account, address)) = peer.companion() else {
        return;
    };
    let name = wire::string(node, "name");
    if name.is_empty() {
        return;
    }
    let mut companions = lock(&account.companions);
    if let Some(companion) = companions.by_device.get_mut(&address.device) {
        companion.push_name = name;
    }
}
