//! The virtual phones: primary devices with real Signal state that read, confirm and send messages.

mod crypt;
pub(crate) mod identity;
pub(crate) mod inbox;
pub(crate) mod key_share;
pub(crate) mod mailbox;
mod origin;
pub(crate) mod reader;
pub(crate) mod receipts;
mod receive;
mod retry;
pub(crate) mod send;
pub(crate) mod state;
mod stores;
