//! Retry receipts in both directions: asking a sender to encrypt again, and encrypting again on request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::origin::Origin;
use super::send;
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::{clock, keys, wire};

/// How often a phone asks again for one message.
const ASKS_MAX: u8 = 4;

/// Asks the sending device to encrypt `stanza` again. The receipt contains new keys, so that a sender with a broken
/// session can start a new one at once.
pub(super) async fn ask(world: &Arc<World>, account: &Arc<Account>, stanza: &Node, origin: &Origin) {
    let id = wire::string(stanza, "id");
    let key = format!("{}:{}:{id}", origin.sender.number, origin.sender.device);
    let count = account.phone.lock().await.count_retry(key);
    if count > ASKS_MAX {
        return;
    }
    let Ok(bundle) = account.identity.bundle(&account.prekeys) else {
        return;
    };
    let retry = NodeBuilder::new("retry")
        .attr("v", 1)
        .attr("id", id.as_str())
        .attr("t", wire::string(stanza, "t"))
        .attr("count", u32::from(count))
        .build();
    let (registration, rest): (Vec<Node>, Vec<Node>) = bundle.into_iter().partition(|n| n.tag == "registration");
    let mut receipt =
        NodeBuilder::new("receipt").attr("id", id.as_str()).attr("type", "retry").attr("t", clock::unix_s());
    receipt = match &origin.group {
        Some(group) => receipt.attr("from", group).attr("participant", account.jid()),
        None => receipt.attr("from", account.jid()),
    };
    if let Some(recipient) = wire::jid(stanza, "recipient") {
        receipt = receipt.attr("recipient", recipient);
    }
    let mut children = vec![retry];
    children.extend(registration);
    children.push(wire::branch("keys", rest));
    world.stats.retries_asked.fetch_add(1, Ordering::Relaxed);
    world.deliver(&origin.sender, receipt.children(children).build());
}

/// Sends a message again to a companion or another phone that could not read it.
pub(super) async fn resend(world: &Arc<World>, account: &Arc<Account>, receipt: &Node) -> anyhow::Result<()> {
    let from = wire::jid(receipt, "from").context("a retry from nobody")?;
    let group = from.is_group().then_some(from.clone());
    let asker = match &group {
        Some(_) => wire::jid(receipt, "participant").context("a retry without participant")?,
        None => from,
    };
    let asker = world.resolve(&asker).context("a retry from a stranger")?;
    let id = wire::string(receipt, "id");
    let mut phone = account.phone.lock().await;
    let sent = phone.sent(&id).context("nothing sent under this id")?;
    let user = match wire::child(receipt, "keys") {
        Some(_) => user_from_receipt(receipt, &asker),
        None => world.bundle_user(&asker, asker.jid()),
    };
    phone.start_session(&asker, user).await?;
    let own = Address::phone(&account.number);
    let mut message = send::text_message(&sent.text);
    let mut recipient = None;
    if let Some(group) = &group {
        let distribution = phone.sender_key(group, &own).await?;
        message.sender_key_distribution_message = distribution.sender_key_distribution_message;
    } else if asker.number == account.number {
        let chat = Jid::pn(sent.to.as_str());
        message = send::own_copy(message, &chat);
        recipient = Some(chat);
    }
    let enc = phone.seal(&message, &asker).await?;
    let stanza = send::stanza(account, &id, group.as_ref(), recipient.as_ref(), vec![enc]);
    world.stats.retries_answered.fetch_add(1, Ordering::Relaxed);
    world.deliver(&asker, stanza);
    world.dirty();
    Ok(())
}

fn user_from_receipt(receipt: &Node, asker: &Address) -> Node {
    let wanted = wire::children(receipt).iter().filter(|n| n.tag == "registration" || n.tag == "keys").cloned();
    NodeBuilder::new("user")
        .attr("jid", asker.jid())
        .attr("t", clock::unix_s())
        .attr("id", keys::message_id())
        .children(wanted)
        .build()
}
