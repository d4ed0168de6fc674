//! Sends messages from a phone: to one account and the sender's own companions, or to a group.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use super::state::{PhoneState, Sent};
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::world::group::Group;
use crate::{clock, keys};

pub(crate) fn text_message(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..Default::default() }
}

/// The form of a message for the sender's own other devices.
pub(super) fn own_copy(message: wa::Message, chat: &Jid) -> wa::Message {
    wa::Message {
        device_sent_message: buffa::MessageField::some(wa::message::DeviceSentMessage {
            destination_jid: Some(chat.to_string()),
            message: buffa::MessageField::some(message),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A `<message>` from this phone.
pub(super) fn stanza(
    account: &Account,
    id: &str,
    group: Option<&Jid>,
    recipient: Option<&Jid>,
    encs: Vec<Node>,
) -> Node {
    let mut message = NodeBuilder::new("message")
        .attr("id", id)
        .attr("type", "text")
        .attr("t", clock::unix_s())
        .attr("notify", account.name());
    message = match group {
        Some(group) => message.attr("from", group).attr("participant", account.jid()).attr("addressing_mode", "pn"),
        None => message.attr("from", account.jid()),
    };
    if let Some(recipient) = recipient {
        message = message.attr("recipient", recipient);
    }
    message.children(encs).build()
}

/// Sends a text to an account: to its phone and companions, and as a copy to the sender's own companions.
pub(crate) async fn direct(
    world: &Arc<World>,
    account: &Arc<Account>,
    to: &Arc<Account>,
    text: &str,
) -> anyhow::Result<String> {
    let id = keys::message_id();
    let message = text_message(text);
    let chat = to.jid();
    let mut phone = account.phone.lock().await;
    let mut addresses = world.devices_of(to);
    if to.number != account.number {
        addresses.extend(world.devices_of(account));
    }
    addresses.retain(|address| *address != Address::phone(&account.number));
    for address in &addresses {
        ensure_session(world, &mut phone, address).await?;
        let (enc, recipient) = if address.number == account.number {
            let copy = own_copy(message.clone(), &chat);
            (phone.seal(&copy, address).await?, Some(&chat))
        } else {
            (phone.seal(&message, address).await?, None)
        };
        world.deliver(address, stanza(account, &id, None, recipient, vec![enc]));
    }
    finish(world, &mut phone, &id, to.number.clone(), text);
    Ok(id)
}

/// Sends a text to a group. The phone must be allowed to post there.
pub(crate) async fn to_group(
    world: &Arc<World>,
    account: &Arc<Account>,
    group: &Group,
    text: &str,
) -> anyhow::Result<String> {
    let id = keys::message_id();
    let jid = group.jid();
    let own = Address::phone(&account.number);
    let mut phone = account.phone.lock().await;
    let members = world.group_devices(group);
    let shared = phone.shared_with.get(&jid.to_string()).cloned().unwrap_or_default();
    // A device that has the key has left the group, and must not be able to read the next message.
    if shared.iter().any(|address| !members.contains(address)) {
        phone.forget_sender_key(&jid, &own);
    }
    let distribution = phone.sender_key(&jid, &own).await?;
    let sealed = phone.seal_for_group(&text_message(text), &jid, &own).await?;
    for address in members.iter().filter(|address| **address != own) {
        let mut encs = Vec::new();
        let shared = phone.shared_with.entry(jid.to_string()).or_default();
        if shared.insert(address.clone()) {
            ensure_session(world, &mut phone, address).await?;
            encs.push(phone.seal(&distribution, address).await?);
        }
        encs.push(sealed.clone());
        world.deliver(address, stanza(account, &id, Some(&jid), None, encs));
    }
    finish(world, &mut phone, &id, jid.to_string(), text);
    Ok(id)
}

fn finish(world: &World, phone: &mut PhoneState, id: &str, to: String, text: &str) {
    phone.remember_sent(Sent { id: id.to_owned(), to, text: text.to_owned() });
    world.stats.phone_sends.fetch_add(1, Ordering::Relaxed);
    world.dirty();
}

pub(super) async fn ensure_session(world: &World, phone: &mut PhoneState, address: &Address) -> anyhow::Result<()> {
    if phone.has_session(address) {
        return Ok(());
    }
    let user = world.bundle_user(address, address.jid());
    phone
        .start_session(address, user)
        .await
        .with_context(|| format!("no session with {}:{}", address.number, address.device))
}
