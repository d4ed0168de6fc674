//! A connection that is pairing: its client's registration, and what stands before the link.

use tokio::sync::oneshot;
use wacore::libsignal::protocol::KeyPair;

use crate::bundle::SignedKey;
use crate::world::address::Address;

/// A connection that wants to become a companion.
pub(crate) struct Pairing {
    pub(crate) noise_key: [u8; 32],
    pub(crate) identity_key: [u8; 32],
    pub(crate) registration_id: u32,
    pub(crate) signed: SignedKey,
    pub(crate) push_name: String,
    pub(crate) platform: String,
    pub(crate) offered: Option<(String, Link)>,
    /// The gate between scan and link, if there is one.
    pub(crate) gate: Option<Gate>,
}

/// A link under way: what the phone signed, and the channel for the result.
pub(crate) struct Link {
    pub(crate) number: String,
    pub(crate) device: u16,
    pub(crate) details: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) done: oneshot::Sender<Result<Address, String>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({}:{})", self.number, self.device)
    }
}

/// A passkey gate in front of one client.
pub(crate) struct Gate {
    pub(crate) number: String,
    pub(crate) challenge: [u8; 32],
    /// If set, the options are not sent, and a request for them is refused with this code.
    pub(crate) refusal: Option<u16>,
    pub(crate) reference: String,
    pub(crate) ephemeral: KeyPair,
    pub(crate) nonce: [u8; 32],
    pub(crate) client: Option<Client>,
}

/// What the client has sent about itself.
pub(crate) struct Client {
    pub(crate) identity: Vec<u8>,
    pub(crate) commitment: Vec<u8>,
    pub(crate) revealed: bool,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate({})", self.number)
    }
}

impl Pairing {
    /// Reports to a pending link that the connection has ended.
    pub(crate) fn abandon(self) {
        if let Some((_, link)) = self.offered {
            let _ = link.done.send(Err("the client went away".to_owned()));
        }
    }
}
