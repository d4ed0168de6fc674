//! The receipts that a phone sends: delivery receipts at once, read receipts after a delay or on request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::clock;
use crate::fault::Kind;
use crate::sync::lock;
use crate::wire;
use crate::world::World;
use crate::world::account::{Account, AutoReceipts};
use crate::world::address::Address;

/// Confirms a message as the phone's settings say. A repeated message gets another delivery receipt, but only one read
/// receipt.
pub(super) fn automatic(
    world: &Arc<World>,
    account: &Arc<Account>,
    group: Option<Jid>,
    sender: &Address,
    id: String,
    is_new: bool,
) {
    let profile = lock(&account.profile).clone();
    if profile.auto_receipts == AutoReceipts::None {
        return;
    }
    let ids = [id];
    confirm(world, account, group.as_ref(), sender, &ids, None);
    if profile.auto_receipts != AutoReceipts::Read || !is_new {
        return;
    }
    if profile.read_delay_ms == 0 {
        read(world, account, group.as_ref(), sender, &ids);
        return;
    }
    let (world, account, sender) = (Arc::clone(world), Arc::clone(account), sender.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(profile.read_delay_ms)).await;
        read(&world, &account, group.as_ref(), &sender, &ids);
    });
}

/// Sends a read receipt and marks the bubbles as read.
pub(crate) fn read(world: &Arc<World>, account: &Arc<Account>, group: Option<&Jid>, sender: &Address, ids: &[String]) {
    for bubble in lock(&account.inbox).iter_mut() {
        if bubble.sender == sender.number && ids.contains(&bubble.id) {
            bubble.read = true;
        }
    }
    confirm(world, account, group, sender, ids, Some("read"));
}

/// Sends one receipt for `ids` to every companion of the sender's account.
fn confirm(
    world: &Arc<World>,
    account: &Arc<Account>,
    group: Option<&Jid>,
    sender: &Address,
    ids: &[String],
    kind: Option<&'static str>,
) {
    let Some(receipt) = node(account, group, ids, kind) else {
        return;
    };
    let counter = match kind {
        Some(_) => &world.stats.read_receipts,
        None => &world.stats.delivery_receipts,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    world.deliver_to_companions(&sender.number, &receipt);
    if world.faults.take(Kind::DoubleReceipts, &sender.number, sender.device).is_some() {
        world.deliver_to_companions(&sender.number, &receipt);
    }
}

fn node(account: &Account, group: Option<&Jid>, ids: &[String], kind: Option<&'static str>) -> Option<Node> {
    let (first, rest) = ids.split_first()?;
    let mut receipt = NodeBuilder::new("receipt").attr("id", first.as_str()).attr("t", clock::unix_s());
    receipt = match group {
        Some(group) => receipt.attr("from", group).attr("participant", account.jid()),
        None => receipt.attr("from", account.jid()),
    };
    if let Some(kind) = kind {
        receipt = receipt.attr("type", kind);
    }
    if !rest.is_empty() {
        let items = rest.iter().map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
        receipt = receipt.children([wire::branch("list", items)]);
    }
    Some(receipt.build())
}
