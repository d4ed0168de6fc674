//! The routes of the world: the existing devices, starting a session with one, and delivering stanzas.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::World;
use super::account::Account;
use super::address::Address;
use super::group::Group;
use crate::phone::mailbox::Letter;
use crate::phone::reader;
use crate::sync::lock;
use crate::{clock, wire};

/// The refusal for a device that does not exist or no longer exists.
const GONE: u16 = 406;

/// The number of remaining one-time keys at which a companion is asked for more.
const KEYS_LOW: usize = 10;

impl World {
    /// The phone and the companions of an account.
    pub(crate) fn devices_of(&self, account: &Account) -> Vec<Address> {
        let mut devices = vec![Address::phone(&account.number)];
        let companions = lock(&account.companions);
        devices.extend(companions.by_device.keys().map(|device| Address::new(&account.number, *device)));
        devices
    }

    /// All devices of all members.
    pub(crate) fn group_devices(&self, group: &Group) -> BTreeSet<Address> {
        group
            .members
            .keys()
            .filter_map(|number| self.touch(number))
            .flat_map(|account| self.devices_of(&account))
            .collect()
    }

    /// A `<user>` element with the key bundle of a device, or with an error if the device is gone. `asked` is the
    /// address in the form that the asker used.
    pub(crate) fn bundle_user(&self, address: &Address, asked: Jid) -> Node {
        let user = NodeBuilder::new("user").attr("jid", asked).attr("t", clock::unix_s());
        match self.bundle(address) {
            Some(nodes) => user.children(nodes).build(),
            None => {
                let error = NodeBuilder::new("error").attr("code", GONE).attr("text", "not-acceptable").build();
                user.children([error]).build()
            }
        }
    }

    fn bundle(&self, address: &Address) -> Option<Vec<Node>> {
        let account = self.touch(&address.number)?;
        self.dirty();
        if address.device == 0 {
            return account.identity.bundle(&account.prekeys).ok();
        }
        let (bundle, left) = {
            let mut companions = lock(&account.companions);
            let companion = companions.by_device.get_mut(&address.device)?;
            (companion.bundle(), companion.one_time.len())
        };
        if left == KEYS_LOW {
            let count = NodeBuilder::new("count").attr("value", left).build();
            let low = NodeBuilder::new("notification")
                .attr("from", wire::server_jid())
                .attr("type", "encrypt")
                .attr("id", crate::keys::message_id())
                .attr("t", clock::unix_s())
                .children([count])
                .build();
            self.enqueue(&account, address.device, &low);
        }
        Some(bundle)
    }

    /// Delivers a stanza to one device. A phone reads it soon; a companion's stanza waits until it is confirmed.
    pub(crate) fn deliver(self: &Arc<Self>, to: &Address, stanza: Node) {
        self.deliver_received(to, stanza, clock::unix_us());
    }

    pub(crate) fn deliver_received(self: &Arc<Self>, to: &Address, stanza: Node, received_at_us: u64) {
        let Some(account) = self.account(&to.number) else {
            return;
        };
        if to.device == 0 {
            let letter = Letter { stanza, received_at_us };
            reader::post(self, &account, letter);
        } else {
            self.enqueue(&account, to.device, &stanza);
        }
    }

    /// Queues a stanza for every companion of an account.
    pub(crate) fn deliver_to_companions(&self, number: &str, stanza: &Node) {
        if let Some(account) = self.account(number) {
            // the phone is device 0, so no companion is left out
            self.deliver_to_other_companions(&account, 0, stanza);
        }
    }

    pub(super) fn deliver_to_other_companions(&self, account: &Account, but: u16, stanza: &Node) {
        let mut devices: Vec<u16> = lock(&account.companions).by_device.keys().copied().collect();
        devices.retain(|device| *device != but);
        for device in devices {
            self.enqueue(account, device, stanza);
        }
    }

    fn enqueue(&self, account: &Account, device: u16, stanza: &Node) {
        let mut companions = lock(&account.companions);
        let Some(companion) = companions.by_device.get_mut(&device) else {
            return;
        };
        match companion.queue.push(stanza) {
            Ok(overflow) => {
                self.stats.queued.fetch_add(1, Ordering::Relaxed);
                if overflow {
                    self.stats.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) => tracing::error!(%error, "stanza cannot be encoded"),
        }
        if let Some(socket) = &companion.socket {
            socket.wake();
        }
        self.dirty();
    }

    /// Notifies the members' companions of a change in a group.
    pub(crate) fn notify_group(self: &Arc<Self>, group: &Group, actor: &str, change: &Node) {
        for number in group.members.keys() {
            self.notify_group_member(group, actor, change, number);
        }
    }

    pub(crate) fn notify_group_member(self: &Arc<Self>, group: &Group, actor: &str, change: &Node, number: &str) {
        let notification = NodeBuilder::new("notification")
            .attr("from", group.jid())
            .attr("type", "w:gp2")
            .attr("id", crate::keys::message_id())
            .attr("participant", Jid::pn(actor))
            .attr("t", clock::unix_s())
            .children([change.clone()])
            .build();
        self.deliver_to_companions(number, &notification);
    }

    /// The `<devices>` element of an account: its device list, and the list of valid companions signed by the phone.
    pub(crate) fn device_list(&self, account: &Account) -> Option<Node> {
        let companions = lock(&account.companions);
        let mut devices = vec![NodeBuilder::new("device").attr("id", 0_u32).build()];
        let mut indexes = vec![];
        for companion in companions.by_device.values() {
            indexes.push(companion.key_index);
            devices.push(
                NodeBuilder::new("device").attr("id", companion.device).attr("key-index", companion.key_index).build(),
            );
        }
        drop(companions);
        let mut children = vec![wire::branch("device-list", devices)];
        if !indexes.is_empty() {
            let now_s = clock::unix_s();
            let list = account.identity.key_index_list(&indexes, now_s).ok()?;
            children.push(NodeBuilder::new("key-index-list").attr("ts", now_s).bytes(list).build());
        }
        Some(wire::branch("devices", children))
    }
}
