//! Messages from companions: the server's ack, and the delivery to all recipient devices.

use std::sync::atomic::Ordering;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use crate::fault::{Kind, Scope};
use crate::peer::Peer;
use crate::sync::lock;
use crate::world::address::Address;
use crate::{clock, wire};

/// The sender and the fixed parts of a message that is being delivered.
struct Posted<'a> {
    stanza: &'a Node,
    sender: Address,
    notify: String,
    device_identity: Vec<u8>,
    received_at_us: u64,
}

pub(super) fn handle(peer: &mut Peer, stanza: Node) {
    let received_at_us = clock::unix_us();
    let Some((account, sender)) = peer.companion() else {
        return;
    };
    let Some(to) = wire::jid(&stanza, "to") else {
        return;
    };
    let group = to.is_group().then(|| peer.world.group(&to.user));
    let forbidden = group.as_ref().and_then(|group| match group {
        None => Some(404),
        Some(group) if !group.may_post(&sender.number) => Some(403),
        Some(_) => None,
    });
    if !acknowledge(peer, &stanza, &sender, forbidden) {
        return;
    }
    let posted = {
        let companions = lock(&account.companions);
        let Some(companion) = companions.by_device.get(&sender.device) else {
            return;
        };
        let notify = match companion.push_name.as_str() {
            "" => account.name(),
            name => name.to_owned(),
        };
        Posted { notify, device_identity: companion.device_identity.clone(), stanza: &stanza, sender, received_at_us }
    };
    let stats = &peer.world.stats;
    match group.flatten() {
        Some(group) => {
            stats.group_messages.fetch_add(1, Ordering::Relaxed);
            to_group(peer, &posted, &group);
        }
        None => {
            stats.direct_messages.fetch_add(1, Ordering::Relaxed);
            to_devices(peer, &posted, &to);
        }
    }
}

/// Sends the ack for the message. Returns false if the message was refused and goes no further.
fn acknowledge(peer: &mut Peer, stanza: &Node, sender: &Address, forbidden: Option<u16>) -> bool {
    let world = std::sync::Arc::clone(&peer.world);
    let (number, device) = (sender.number.as_str(), sender.device);
    let order = world.faults.take(Kind::AckError, number, device);
    let refusal = order.map(|order| order.code.unwrap_or(479)).or(forbidden);
    if refusal.is_none() && world.faults.take(Kind::SwallowAcks, number, device).is_some() {
        world.stats.swallowed_acks.fetch_add(1, Ordering::Relaxed);
        return true;
    }
    let mut ack = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", wire::string(stanza, "id"))
        .attr("t", clock::unix_s());
    if let Some(to) = wire::jid(stanza, "to") {
        ack = ack.attr("from", to);
    }
    if let Some(phash) = wire::text(stanza, "phash") {
        ack = ack.attr("phash", phash.into_owned());
    }
    if let Some(code) = refusal {
        ack = ack.attr("error", code);
    }
    let counter = match refusal {
        Some(_) => &world.stats.error_acks,
        None => &world.stats.acks,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    match peer.delay(Scope::Acks) {
        Some(delay) => peer.send_later(ack.build(), delay),
        None => peer.send(&ack.build()),
    }
    refusal.is_none()
}

/// Delivers a message to an account. Either `<participants>` lists its devices and the sender's other devices, or the
/// stanza is for the single device that it is addressed to.
fn to_devices(peer: &Peer, posted: &Posted<'_>, to: &Jid) {
    let Some(recipient) = peer.world.resolve(to) else {
        return;
    };
    let chat = Jid::pn(recipient.number.as_str());
    for (address, encs) in addressed(peer, posted.stanza) {
        let own = address.number == posted.sender.number;
        let copy_of = (own && recipient.number != posted.sender.number).then_some(&chat);
        send(peer, posted, &address, None, copy_of, encs);
    }
    let direct = direct_encs(posted.stanza);
    if !direct.is_empty() {
        let own = recipient.number == posted.sender.number;
        let copy_of = wire::jid(posted.stanza, "recipient").filter(|_| own);
        send(peer, posted, &recipient, None, copy_of.as_ref(), direct);
    }
}

/// Delivers a message to a group. Each device gets the part that was sealed for all, together with the part that was
/// sealed for it alone.
fn to_group(peer: &Peer, posted: &Posted<'_>, group: &crate::world::group::Group) {
    let jid = group.jid();
    let shared = direct_encs(posted.stanza);
    let mut alone = addressed(peer, posted.stanza);
    // a message that was sealed again for one device that could not read it
    if let Some(asker) = wire::jid(posted.stanza, "participant") {
        if let Some(address) = peer.world.resolve(&asker) {
            send(peer, posted, &address, Some(&jid), None, shared);
        }
        return;
    }
    for address in peer.world.group_devices(group) {
        if address == posted.sender {
            continue;
        }
        let position = alone.iter().position(|(known, _)| *known == address);
        let mut encs = position.map_or_else(Vec::new, |at| alone.swap_remove(at).1);
        encs.extend(shared.iter().cloned());
        send(peer, posted, &address, Some(&jid), None, encs);
    }
}

/// The `<enc>` elements of each `<to>` in `<participants>`.
fn addressed(peer: &Peer, stanza: &Node) -> Vec<(Address, Vec<Node>)> {
    let Some(participants) = wire::child(stanza, "participants") else {
        return Vec::new();
    };
    wire::children(participants)
        .iter()
        .filter_map(|to| {
            let address = peer.world.resolve(&wire::jid(to, "jid")?)?;
            Some((address, direct_encs(to)))
        })
        .collect()
}

fn direct_encs(node: &Node) -> Vec<Node> {
    let encs = wire::children(node).iter().filter(|n| n.tag == "enc");
    encs.cloned().collect()
}

fn send(
    peer: &Peer,
    posted: &Posted<'_>,
    to: &Address,
    group: Option<&Jid>,
    copy_of: Option<&Jid>,
    mut children: Vec<Node>,
) {
    if children.is_empty() {
        return;
    }
    let stanza = posted.stanza;
    let mut message = NodeBuilder::new("message")
        .attr("id", wire::string(stanza, "id"))
        .attr("type", wire::string(stanza, "type"))
        .attr("t", clock::unix_s())
        .attr("notify", posted.notify.as_str());
    message = match group {
        Some(group) => {
            message.attr("from", group).attr("participant", posted.sender.jid()).attr("addressing_mode", "pn")
        }
        None => message.attr("from", posted.sender.jid()),
    };
    if let Some(chat) = copy_of {
        message = message.attr("recipient", chat);
    }
    for key in ["edit", "category"] {
        if let Some(value) = wire::text(stanza, key) {
            message = message.attr(key, value.into_owned());
        }
    }
    if children.iter().any(|enc| wire::is(enc, "type", "pkmsg")) {
        children.push(wire::leaf("device-identity", posted.device_identity.clone()));
    }
    let message = message.children(children).build();
    peer.world.deliver_received(to, message, posted.received_at_us);
}
