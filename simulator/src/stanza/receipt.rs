//! Receipts and acks from companions. They empty the device's queue, and receipts are forwarded to their recipients.

use std::sync::atomic::Ordering;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use crate::peer::Peer;
use crate::sync::lock;
use crate::wire;
use crate::world::address::Address;

pub(super) fn handle(peer: &mut Peer, receipt: &Node) {
    let Some((_, own)) = peer.companion() else {
        return;
    };
    let mut ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", wire::string(receipt, "id"));
    for (ours, theirs) in [("from", "to"), ("participant", "participant")] {
        if let Some(jid) = wire::jid(receipt, theirs) {
            ack = ack.attr(ours, jid);
        }
    }
    if let Some(kind) = wire::text(receipt, "type") {
        ack = ack.attr("type", kind.into_owned());
    }
    peer.send(&ack.build());
    peer.world.stats.client_receipts.fetch_add(1, Ordering::Relaxed);
    // a retry asks for a message again and confirms nothing: the client acknowledges the one that it could not read
    if wire::text(receipt, "type").as_deref() != Some("retry") {
        for id in wire::receipt_ids(receipt) {
            confirm(peer, "message", &id, receipt, "to");
        }
    }
    forward(peer, receipt, &own);
}

/// Handles `<ack class="receipt|notification|message">`: the client has received what we sent.
pub(super) fn acknowledged(peer: &mut Peer, ack: &Node) {
    let class = wire::string(ack, "class");
    let id = wire::string(ack, "id");
    confirm(peer, &class, &id, ack, "to");
}

fn confirm(peer: &Peer, class: &str, id: &str, node: &Node, from: &str) {
    let Some((account, own)) = peer.companion() else {
        return;
    };
    let mut companions = lock(&account.companions);
    if let Some(companion) = companions.by_device.get_mut(&own.device) {
        let sender = wire::string(node, from);
        let participant = wire::string(node, "participant");
        companion.queue.confirm(class, id, &sender, &participant);
    }
    drop(companions);
    peer.world.dirty();
}

/// Forwards a receipt: a retry to the device that must resend, others to the companions of the account that sent the
/// message.
fn forward(peer: &Peer, receipt: &Node, own: &Address) {
    let kind = wire::string(receipt, "type");
    if matches!(kind.as_str(), "peer_msg" | "sender" | "read-self" | "hist_sync" | "server-error") {
        return;
    }
    let Some(to) = wire::jid(receipt, "to") else {
        return;
    };
    let group = to.is_group().then_some(to.clone());
    let asked = match &group {
        Some(_) => wire::jid(receipt, "participant"),
        None => Some(to),
    };
    let Some(address) = asked.and_then(|jid| peer.world.resolve(&jid)) else {
        return;
    };
    let forwarded = rewritten(receipt, own, group.as_ref());
    if kind == "retry" {
        peer.world.deliver(&address, forwarded);
    } else if address.number != own.number {
        peer.world.deliver_to_companions(&address.number, &forwarded);
    }
}

/// The receipt as the other side sees it: from this device, or from the group with this device as participant.
fn rewritten(receipt: &Node, own: &Address, group: Option<&Jid>) -> Node {
    let mut node = receipt.clone();
    let mut attrs = wacore_binary::Attrs::new();
    for (key, value) in node.attrs.iter() {
        if !matches!(key.as_ref(), "to" | "participant" | "from") {
            attrs.push_value(key.clone(), value.clone());
        }
    }
    match group {
        Some(group) => {
            attrs.insert("from", group);
            attrs.insert("participant", own.jid());
        }
        None => attrs.insert("from", own.jid()),
    }
    if !attrs.contains_key("t") {
        attrs.insert("t", crate::clock::unix_s());
    }
    node.attrs = attrs;
    node
}
