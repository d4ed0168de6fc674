//! An account: one number, its phone, its linked companions, and the messages that reached the phone.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use super::device::Companions;
use super::offers::CodePairing;
use crate::phone::identity::{Identity, PreKeys};
use crate::phone::inbox::Inbox;
use crate::phone::mailbox::Mailbox;
use crate::phone::state::PhoneState;

/// Which receipts a phone sends by itself when a message reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AutoReceipts {
    None,
    Delivered,
    #[default]
    Read,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) auto_receipts: AutoReceipts,
    pub(crate) read_delay_ms: u64,
}

pub(crate) struct Account {
    pub(crate) number: String,
    /// The user part of the account's LID.
    pub(crate) lid: String,
    pub(crate) identity: Identity,
    pub(crate) prekeys: PreKeys,
    pub(crate) profile: Mutex<Profile>,
    pub(crate) companions: Mutex<Companions>,
    pub(crate) inbox: Mutex<Inbox>,
    pub(crate) mailbox: Mutex<Mailbox>,
    pub(crate) code_pairing: Mutex<Option<CodePairing>>,
    /// The code that the phone shows at a passkey gate.
    pub(crate) passkey_code: Mutex<Option<String>>,
    /// The numbers that asked for this account's devices. They are notified when the devices change.
    pub(crate) listeners: Mutex<BTreeSet<String>>,
    pub(crate) phone: tokio::sync::Mutex<PhoneState>,
}

impl Account {
    pub(crate) fn new(number: &str, lid: String, identity: Identity, name: String) -> Self {
        Self {
            number: number.to_owned(),
            lid,
            prekeys: PreKeys::default(),
            profile: Mutex::new(Profile { name, auto_receipts: AutoReceipts::default(), read_delay_ms: 0 }),
            companions: Mutex::default(),
            inbox: Mutex::default(),
            mailbox: Mutex::default(),
            code_pairing: Mutex::default(),
            passkey_code: Mutex::default(),
            listeners: Mutex::default(),
            phone: tokio::sync::Mutex::new(PhoneState::new(identity.clone())),
            identity,
        }
    }

    pub(crate) fn jid(&self) -> Jid {
        Jid::pn(self.number.as_str())
    }

    pub(crate) fn lid_jid(&self) -> Jid {
        Jid::lid(self.lid.as_str())
    }

    pub(crate) fn name(&self) -> String {
        crate::sync::lock(&self.profile).name.clone()
    }
}
