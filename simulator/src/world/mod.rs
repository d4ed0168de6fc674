//! The world: all accounts, groups, sockets and pairing references, and the routes between devices.
//!
//! Locks are short and never held across an `await`, except the lock of a phone's Signal state.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod b64;
pub(crate) mod device;
mod device_news;
pub(crate) mod group;
pub(crate) mod link;
mod membership;
pub(crate) mod offers;
pub(crate) mod persist;
pub(crate) mod queue;
mod route;
mod strike;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use wacore_binary::{Jid, Server};

use crate::audit::Audit;
use crate::config::Config;
use crate::fault::Faults;
use crate::handshake::ServerIdentity;
use crate::phone::identity::Identity;
use crate::socket::Socket;
use crate::stats::Stats;
use crate::sync::lock;
use account::Account;
use address::Address;
use group::Group;
use offers::Offer;

/// The highest number of accounts, so that many lookups can't fill the memory.
const ACCOUNTS_MAX: usize = 200_000;
/// Numbers with this prefix are never on WhatsApp.
const UNREGISTERED_PREFIX: &str = "000";

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) identity: ServerIdentity,
    index: Mutex<Index>,
    pub(crate) sockets: Mutex<HashMap<u64, Socket>>,
    last_socket: AtomicU64,
    pub(crate) audit: Audit,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    pub(crate) letters_waiting: AtomicU64,
    changed: AtomicBool,
    pub(crate) save_now: Notify,
    last_save: AtomicU64,
    /// The number of the latest save in the file. The lock is held while the file is written.
    written_save: Mutex<u64>,
}

#[derive(Default)]
struct Index {
    accounts: HashMap<String, Arc<Account>>,
    by_lid: HashMap<String, String>,
    groups: BTreeMap<String, Group>,
    /// QR references that can be scanned now.
    offers: HashMap<String, Offer>,
}

impl World {
    pub(crate) fn new(config: Config, identity: ServerIdentity) -> Self {
        Self {
            config,
            identity,
            index: Mutex::default(),
            sockets: Mutex::default(),
            last_socket: AtomicU64::new(0),
            audit: Audit::default(),
            faults: Faults::default(),
            stats: Stats::default(),
            letters_waiting: AtomicU64::new(0),
            changed: AtomicBool::new(false),
            save_now: Notify::new(),
            last_save: AtomicU64::new(0),
            written_save: Mutex::new(0),
        }
    }

    pub(crate) fn next_socket_id(&self) -> u64 {
        self.last_socket.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Marks the world as changed since it was last written.
    pub(crate) fn dirty(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn account(&self, number: &str) -> Option<Arc<Account>> {
        lock(&self.index).accounts.get(number).cloned()
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        let mut accounts: Vec<_> = lock(&self.index).accounts.values().cloned().collect();
        accounts.sort_by(|a, b| a.number.cmp(&b.number));
        accounts
    }

    /// The account of `number`, which is created on first use. `None` if the number can't be on WhatsApp.
    pub(crate) fn touch(&self, number: &str) -> Option<Arc<Account>> {
        if let Some(account) = self.account(number) {
            return Some(account);
        }
        if !is_registered(number) {
            return None;
        }
        let identity = match Identity::generate() {
            Ok(identity) => identity,
            Err(error) => {
                tracing::error!(%error, "cannot make a phone");
                return None;
            }
        };
        let mut index = lock(&self.index);
        if index.accounts.len() >= ACCOUNTS_MAX {
            return None;
        }
        // another task may have been quicker, and its phone stays
        if let Some(account) = index.accounts.get(number) {
            return Some(Arc::clone(account));
        }
        let lid = index.free_lid(number);
        let name = format!("Phone {number}");
        let account = Arc::new(Account::new(number, lid, identity, name));
        index.add(Arc::clone(&account));
        drop(index);
        self.dirty();
        Some(account)
    }

    /// The account and device of an address, in phone-number or LID form.
    pub(crate) fn resolve(&self, jid: &Jid) -> Option<Address> {
        match jid.server {
            Server::Pn => Some(Address::new(jid.user.as_str(), jid.device)),
            Server::Lid => {
                let index = lock(&self.index);
                let number = index.by_lid.get(jid.user.as_str())?;
                Some(Address::new(number.as_str(), jid.device))
            }
            _ => None,
        }
    }

    pub(crate) fn lid_of(&self, number: &str) -> String {
        self.touch(number).map(|account| account.lid.clone()).unwrap_or_default()
    }

    /// An unused number for a phone without a given number.
    pub(crate) fn free_number(&self) -> String {
        let index = lock(&self.index);
        let mut number = 4_917_000_000_000_u64 + index.accounts.len() as u64;
        while index.accounts.contains_key(&number.to_string()) {
            number += 1;
        }
        number.to_string()
    }

    pub(crate) fn offer(&self, reference: String, offer: Offer) {
        lock(&self.index).offers.insert(reference, offer);
    }

    pub(crate) fn find_offer(&self, reference: &str) -> Option<Offer> {
        lock(&self.index).offers.get(reference).cloned()
    }

    pub(crate) fn withdraw_offers(&self, socket: u64) {
        lock(&self.index).offers.retain(|_, offer| offer.socket.id != socket);
    }

    /// Forgets everything except the static key. The caller closes the sockets.
    pub(crate) fn forget(&self) {
        *lock(&self.index) = Index::default();
        self.audit.clear();
        self.faults.clear();
        self.dirty();
        self.save_now.notify_one();
    }
}

impl Index {
    fn add(&mut self, account: Arc<Account>) {
        self.by_lid.insert(account.lid.clone(), account.number.clone());
        self.accounts.insert(account.number.clone(), account);
    }

    /// A LID that depends only on the number. So a client that remembers it from an earlier world still finds the same
    /// account.
    fn free_lid(&self, number: &str) -> String {
        const FIFTEEN_DIGITS: u64 = 100_000_000_000_000;
        let mut hash = number
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        loop {
            let lid = (FIFTEEN_DIGITS + hash % FIFTEEN_DIGITS).to_string();
            if !self.by_lid.contains_key(&lid) {
                return lid;
            }
            hash = hash.wrapping_add(1);
        }
    }
}

/// Whether a number is on WhatsApp. Any plausible number is, except those with the reserved prefix.
pub(crate) fn is_registered(number: &str) -> bool {
    let plausible = (5..=20).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    plausible && !number.starts_with(UNREGISTERED_PREFIX)
}
