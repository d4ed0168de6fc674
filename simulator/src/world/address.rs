//! The address of a device: the account's number and the device's number (0 is the phone).

use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) number: String,
    pub(crate) device: u16,
}

impl Address {
    pub(crate) fn new(number: impl Into<String>, device: u16) -> Self {
        Self { number: number.into(), device }
    }

    pub(crate) fn phone(number: impl Into<String>) -> Self {
        Self::new(number, 0)
    }

    /// The address in phone-number form, which the simulator uses on the wire.
    pub(crate) fn jid(&self) -> Jid {
        Jid::pn_device(self.number.as_str(), self.device)
    }
}
