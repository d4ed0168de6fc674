//! Linking and unlinking companions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::World;
use super::account::Account;
use super::address::Address;
use super::device::Companion;
use super::device_news::Change;
use crate::socket::{Command, Ending, Socket};
use crate::sync::lock;

impl World {
    /// Reserves the number of a device that is about to be linked.
    pub(crate) fn reserve_device(&self, account: &Account) -> u16 {
        let mut companions = lock(&account.companions);
        companions.last_device += 1;
        companions.last_device
    }

    pub(crate) fn link(&self, account: &Arc<Account>, companion: Companion) {
        let (device, key_index) = (companion.device, companion.key_index);
        {
            let mut companions = lock(&account.companions);
            companions.push_names.insert(companion.push_name.clone());
            companions.by_device.insert(device, companion);
        }
        self.announce_device(account, device, key_index, Change::Add);
        self.stats.pairings.fetch_add(1, Ordering::Relaxed);
        self.dirty();
        self.save_now.notify_one();
    }

    /// Removes a companion. Its socket is closed with `ending`, and later logins are refused.
    pub(crate) fn unlink(&self, account: &Arc<Account>, device: u16, ending: Ending) -> bool {
        let Some(companion) = lock(&account.companions).by_device.remove(&device) else {
            return false;
        };
        if let Some(socket) = companion.socket {
            socket.tell(Command::End(ending));
        }
        self.announce_device(account, device, companion.key_index, Change::Remove);
        self.stats.unlinks.fetch_add(1, Ordering::Relaxed);
        self.dirty();
        self.save_now.notify_one();
        true
    }

    /// Makes a socket the current one of a device. An older socket is closed as replaced.
    pub(crate) fn attach(&self, account: &Account, device: u16, socket: Socket) -> bool {
        let mut companions = lock(&account.companions);
        companions.sockets_ever += 1;
        let Some(companion) = companions.by_device.get_mut(&device) else {
            return false;
        };
        if let Some(older) = companion.socket.replace(socket) {
            older.tell(Command::End(Ending::replaced()));
        }
        true
    }

    /// Clears the device's socket, if it is still this one.
    pub(crate) fn detach(&self, account: &Account, device: u16, socket: u64) {
        let mut companions = lock(&account.companions);
        if let Some(companion) = companions.by_device.get_mut(&device)
            && companion.socket.as_ref().is_some_and(|s| s.id == socket)
        {
            companion.socket = None;
        }
    }

    /// The logged-in sockets, by device.
    pub(crate) fn logged_in(&self) -> Vec<(Address, Socket)> {
        let mut found = Vec::new();
        for account in self.accounts() {
            let companions = lock(&account.companions);
            for companion in companions.by_device.values() {
                if let Some(socket) = &companion.socket {
                    let address = Address::new(&account.number, companion.device);
                    found.push((address, socket.clone()));
                }
            }
        }
        found
    }
}
