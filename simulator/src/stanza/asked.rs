//! What requests of all namespaces have in common.

use wacore_binary::{Jid, Node};

use crate::peer::Peer;
use crate::wire;

/// What the simulator does not know gets an empty result, and shows in the stats.
pub(super) fn unknown(peer: &mut Peer, iq: &Node, namespace: &str) {
    let asked = wire::children(iq).first();
    let tag = asked.map_or("-", |node| node.tag.as_ref());
    peer.world.stats.unknown_iq(&format!("{namespace} {tag}"));
    tracing::info!(namespace, tag, "unknown request answered with an empty result");
    peer.send(&wire::result(iq, []));
}

/// The accounts named by `<participant jid>` children, in phone-number form.
pub(super) fn participants(peer: &Peer, node: &Node) -> Vec<(Jid, String)> {
    let named = wire::children(node).iter().filter(|n| n.tag == "participant");
    named
        .filter_map(|participant| {
            let jid = wire::jid(participant, "jid")?;
            let number = peer.world.resolve(&jid)?.number;
            Some((jid, number))
        })
        .collect()
}
