//! Clients that can be linked now, by a QR reference or by a code.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::socket::Socket;

/// A QR reference that can be scanned.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) socket: Socket,
    pub(crate) noise_key: [u8; 32],
    pub(crate) push_name: String,
    pub(crate) identity_key: [u8; 32],
    pub(crate) valid: std::ops::Range<Instant>,
}

/// A client that waits for its code to be entered on the account's phone.
pub(crate) struct CodePairing {
    pub(crate) reference: Vec<u8>,
    pub(crate) wrapped_ephemeral: Vec<u8>,
    pub(crate) socket: Socket,
    pub(crate) identity_key: [u8; 32],
    /// The channel for the client's bundle, once the code has been entered.
    pub(crate) bundle: Option<oneshot::Sender<Vec<u8>>>,
}
