//! What requests of all namespaces share.

use wacore_binary::{Jid, Node};

use crate::peer::Peer;
use crate::wire;

/// Answers an unknown request with an empty result, and counts it in the stats.
pub(super) fn unknown(peer: &mut Peer, iq: &Node, namespace: &str) {
    let asked = wire::children(iq).first();
    let tag = asked.map_or("-", |node| node.tag.as_ref());
    peer.world.stats.unknown_iq(&format!("{namespace} {tag}"));
    tracing::info!(namespace, tag, "unknown request answered with an empty result");
    peer.send(&wire::result(iq, []));
}

/// The accounts of the `<participant jid>` children, as phone numbers.
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
