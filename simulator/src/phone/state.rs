//! The state of a phone: its Signal sessions, its sender keys, and the messages that it may have to send again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use wacore::libsignal::protocol::{IdentityKey, SenderKeyName, SenderKeyRecord, SessionRecord};

use super::identity::Identity;
use super::stores::{Identities, SenderKeys, Sessions, SignedPreKey};
use crate::keys;
use crate::world::address::Address;

/// How many sent messages a phone keeps in order to send them again.
const SENT_MAX: usize = 512;
/// For how many messages a phone counts failed decryptions.
const RETRIES_MAX: usize = 1_024;

/// A message that this phone sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
    /// The chat: a number, or a group's address.
    pub(crate) to: String,
    pub(crate) text: String,
}

pub(crate) struct PhoneState {
    pub(crate) sessions: Sessions,
    pub(crate) identities: Identities,
    pub(crate) signed: SignedPreKey,
    pub(crate) sender_keys: SenderKeys,
    /// The devices that have this phone's sender key, by group.
    pub(crate) shared_with: BTreeMap<String, BTreeSet<Address>>,
    sent: VecDeque<Sent>,
    retries: HashMap<String, u8>,
}

/// The state in the form of the world file. Records are base64.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SavedPhone {
    sessions: BTreeMap<String, String>,
    met: BTreeMap<String, String>,
    sender_keys: Vec<(String, String, String)>,
    shared_with: BTreeMap<String, BTreeSet<Address>>,
    sent: VecDeque<Sent>,
}

impl PhoneState {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            sessions: Sessions::default(),
            identities: Identities { own: identity.clone(), met: HashMap::new() },
            signed: SignedPreKey(identity),
            sender_keys: SenderKeys::default(),
            shared_with: BTreeMap::new(),
            sent: VecDeque::new(),
            retries: HashMap::new(),
        }
    }

    pub(crate) fn remember_sent(&mut self, sent: Sent) {
        self.sent.push_back(sent);
        if self.sent.len() > SENT_MAX {
            self.sent.pop_front();
        }
    }

    pub(crate) fn sent(&self, id: &str) -> Option<Sent> {
        self.sent.iter().find(|sent| sent.id == id).cloned()
    }

    /// Counts another failure to read `key`. Returns how many there are.
    pub(crate) fn count_retry(&mut self, key: String) -> u8 {
        if self.retries.len() >= RETRIES_MAX {
            self.retries.clear();
        }
        let count = self.retries.entry(key).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    pub(crate) fn save(&self) -> anyhow::Result<SavedPhone> {
        let mut saved =
            SavedPhone { shared_with: self.shared_with.clone(), sent: self.sent.clone(), ..SavedPhone::default() };
        for (address, record) in &self.sessions.0 {
            let bytes = record.serialize()?;
            saved.sessions.insert(address.clone(), keys::encode64(&bytes));
        }
        for (address, key) in &self.identities.met {
            saved.met.insert(address.clone(), keys::encode64(&key.serialize()));
        }
        for (name, record) in &self.sender_keys.0 {
            saved.sender_keys.push((
                name.group_id().to_owned(),
                name.sender_id().to_owned(),
                keys::encode64(&record.serialize()?),
            ));
        }
        Ok(saved)
    }

    pub(crate) fn load(identity: Identity, saved: SavedPhone) -> anyhow::Result<Self> {
        let mut state = Self::new(identity);
        state.shared_with = saved.shared_with;
        state.sent = saved.sent;
        for (address, record) in saved.sessions {
            let record = SessionRecord::deserialize(&keys::decode64(&record)?)?;
            state.sessions.0.insert(address, record);
        }
        for (address, key) in saved.met {
            let key = IdentityKey::decode(&keys::decode64(&key)?)?;
            state.identities.met.insert(address, key);
        }
        for (group, sender, record) in saved.sender_keys {
            let record = SenderKeyRecord::deserialize(&keys::decode64(&record)?)?;
            let name = SenderKeyName::new(group, sender);
            state.sender_keys.0.insert(name, record);
        }
        Ok(state)
    }
}
