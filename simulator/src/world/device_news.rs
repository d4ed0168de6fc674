//! Notifies other accounts of changes of an account's devices, so that they encrypt for the right ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::World;
use super::account::Account;
use crate::sync::lock;
use crate::{clock, keys, wire};

/// The highest number of accounts that are notified about one account's devices.
const LISTENERS_MAX: usize = 5_000;

#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Add,
    Remove,
}

impl World {
    /// Remembers that `listener` asked for the devices of an account.
    pub(crate) fn listen_to_devices(&self, account: &Account, listener: &str) {
        let mut listeners = lock(&account.listeners);
        if listeners.len() < LISTENERS_MAX && !listeners.contains(listener) {
            listeners.insert(listener.to_owned());
        }
    }

    /// Notifies the account's own companions, and the accounts that asked for its devices before.
    pub(super) fn announce_device(&self, account: &Arc<Account>, device: u16, key_index: u32, change: Change) {
        let indexes: Vec<u32> = {
            let companions = lock(&account.companions);
            companions.by_device.values().map(|c| c.key_index).collect()
        };
        let now_s = clock::unix_s();
        let Ok(list) = account.identity.key_index_list(&indexes, now_s) else {
            return;
        };
        let changed = NodeBuilder::new("device")
            .attr("jid", account.jid().with_device(device))
            .attr("lid", Jid::lid_device(account.lid.as_str(), device))
            .attr("key-index", key_index)
            .build();
        let list = NodeBuilder::new("key-index-list").attr("ts", now_s).bytes(list).build();
        let tag = match change {
            Change::Add => "add",
            Change::Remove => "remove",
        };
        let notification = NodeBuilder::new("notification")
            .attr("from", account.jid())
            .attr("type", "devices")
            .attr("lid", account.lid_jid())
            .attr("id", keys::message_id())
            .attr("t", now_s)
            .children([wire::branch(tag, [changed, list])])
            .build();
        self.tell_listeners(account, device, &notification);
    }

    fn tell_listeners(&self, account: &Arc<Account>, device: u16, notification: &Node) {
        let mut listeners: BTreeSet<String> = lock(&account.listeners).clone();
        listeners.remove(&account.number);
        for listener in listeners {
            self.deliver_to_companions(&listener, notification);
        }
        self.deliver_to_other_companions(account, device, notification);
    }
}
