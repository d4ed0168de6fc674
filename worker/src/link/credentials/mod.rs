//! The client library's store for one account, on our sealed and fenced records.
//!
//! The library uses one object per device and calls it from many tasks. A batch is one statement. A read-change-write
//! sequence holds `turn`: the account has one owner at a time, so a lock in this process is enough. A write that finds
//! the account claimed by another owner cancels `fenced`, which ends the link. A record under a key that this worker
//! does not have cancels `unknown_key`, which ends the link as well, and nothing more is written.

use std::time::Duration;

use store::Error;
use store::credentials::{CredentialStore, Record};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use wacore::store::error::{Result, StoreError};

mod app_state;
mod contact_token;
mod device;
mod duplicate;
mod message_secret;
mod nothing;
mod protocol;
mod signal;
mod token_cache;

use nothing::Nothing;
use token_cache::TokenCache;

/// The kinds of records. The numbers are stored: never change or reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Kind {
    /// The device itself: its keys and its address.
    Device = 1,
    /// Identity keys of others, by Signal address.
    Identity = 2,
    /// Signal sessions, by Signal address.
    Session = 3,
    /// One-time pre-keys; `number` is the id.
    PreKey = 4,
    /// Signed pre-keys; `number` is the id.
    SignedPreKey = 5,
    /// Group sender keys.
    SenderKey = 6,
    /// App-state sync keys; `number` is the time of storing, ms.
    SyncKey = 7,
    /// App-state versions, by collection.
    SyncVersion = 8,
    /// App-state MACs, by collection and index.
    MutationMac = 9,
    /// Which devices of a group hold our sender key.
    SenderKeyDevices = 10,
    /// Maps a LID address to a phone number.
    LidMapping = 11,
    /// Maps a phone number to a LID address.
    NumberMapping = 12,
    /// Base keys, to detect collisions.
    BaseKey = 13,
    /// Device lists of users.
    DeviceList = 14,
    /// Group metadata.
    GroupMetadata = 15,
    /// Trusted-contact tokens.
    ContactToken = 16,
    /// Sent messages, for retry receipts; `number` is the time, s.
    SentMessage = 17,
    /// Received messages that the session has not stored yet; `number` is the time, s.
    PendingInbound = 18,
    /// Message secrets; `number` is when they may be deleted, s.
    MessageSecret = 19,
    /// Missed messages for which their senders were asked again; `number` is the time, s.
    AskedAgain = 20,
    /// Received messages that were handled and have nothing to store; `number` is the time, s.
    Handled = 21,
}

/// The shortest and the longest wait between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Joins the parts of a composite name. It occurs in no address and no id.
const JOINT: char = '\u{1f}';

/// A message that WhatsApp delivers again, whose key is used up, and which was never stored: a worker crashed after the
/// Signal state was written and before the message was. The library writes that state for a message that is being sent,
/// whatever is being received meanwhile.
#[derive(Clone)]
pub(super) struct Missed {
    /// The chat's address.
    pub(super) chat: String,
    /// The sender's address.
    pub(super) sender: String,
    /// The message's id.
    pub(super) id: String,
}

/// The library's store for one account.
pub(super) struct AccountBackend {
    store: CredentialStore,
    fenced: CancellationToken,
    unknown_key: CancellationToken,
    /// Held while a record is read, changed and written back.
    turn: Mutex<()>,
    /// Held while the device is written.
    saving: Mutex<()>,
    tokens: TokenCache,
    /// Where missed messages are told.
    missed: mpsc::UnboundedSender<Missed>,
    nothing: Nothing,
}

impl AccountBackend {
    /// Creates the backend of `store`'s account. The first write that is refused cancels `fenced`. Missed messages are
    /// told to `missed`.
    pub(super) fn new(
        store: CredentialStore,
        fenced: CancellationToken,
        missed: mpsc::UnboundedSender<Missed>,
    ) -> Self {
        Self {
            store,
            fenced,
            unknown_key: CancellationToken::new(),
            turn: Mutex::new(()),
            saving: Mutex::new(()),
            tokens: TokenCache::default(),
            missed,
            nothing: Nothing::default(),
        }
    }

    /// Cancelled by the first record that is sealed under a key which this worker does not have.
    pub(super) fn met_unknown_key(&self) -> CancellationToken {
        self.unknown_key.clone()
    }

    /// Stops writing, after the writes under way: the connection has ended.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    /// The id of the unknown key.
    pub(super) fn unknown_key(&self) -> Option<String> {
        self.store.unknown_key().map(str::to_owned)
    }

    async fn read(&self, kind: Kind, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.patiently(|| self.store.get(kind as i16, name)).await?.map(|record| record.bytes))
    }

    async fn read_many(&self, kind: Kind, names: &[String]) -> Result<Vec<Record>> {
        self.patiently(|| self.store.get_many(kind as i16, names)).await
    }

    async fn list(&self, kind: Kind) -> Result<Vec<Record>> {
        self.patiently(|| self.store.list(kind as i16)).await
    }

    async fn write(&self, kind: Kind, record: Record) -> Result<()> {
        self.write_many(kind, vec![record]).await
    }

    /// Writes records. What was asked for first is written first, however often the database has to be asked. So what a
    /// stanza needs is on disk before it leaves, an older ratchet never replaces a newer one, and received messages are
    /// kept before the Signal state that has used up their keys.
    async fn write_many(&self, kind: Kind, records: Vec<Record>) -> Result<()> {
        self.written(self.store.put_many(kind as i16, records)).await
    }

    async fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        self.remove_many(kind, &[name.to_owned()]).await
    }

    async fn remove_many(&self, kind: Kind, names: &[String]) -> Result<()> {
        self.written(self.store.delete_many(kind as i16, names)).await
    }

    async fn remove_older(&self, kind: Kind, before: i64) -> Result<u32> {
        let gone = self.patiently(|| self.store.delete_matching(kind as i16, "", Some(before))).await?;
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }

    async fn remove_prefix(&self, kind: Kind, prefix: &str) -> Result<()> {
        self.patiently(|| self.store.delete_matching(kind as i16, prefix, None)).await.map(drop)
    }

    /// Waits for a write, which goes out together with those of other sessions. The store itself asks a database that is
    /// away again, until the connection has ended.
    async fn written<T>(&self, write: impl Future<Output = store::Result<T>>) -> Result<T> {
        write.await.map_err(|error| self.refused(error))
    }

    /// Retries a database operation until the database answers or the connection has ended. The library gives a message
    /// up if its keys cannot be read at that moment, and treats the next copy of a message that could not be kept as a
    /// duplicate. So a database that is away for a while must appear slow, and never cause an error.
    async fn patiently<T, F, Fut>(&self, ask: F) -> Result<T>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = store::Result<T>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match store::answered(ask()).await {
                Err(error) if error.is_transient() && !self.store.is_closed() => error,
                Err(error) => return Err(self.refused(error)),
                Ok(done) => return Ok(done),
            };
            tracing::warn!(account = %self.store.fence().account, %error, "credentials wait for the database");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn refused(&self, error: Error) -> StoreError {
        match error {
            Error::Fenced => self.fenced.cancel(),
            Error::UnknownKey { .. } => self.unknown_key.cancel(),
            _ => {}
        }
        StoreError::Database(Box::new(error))
    }
}

fn join(parts: &[&str]) -> String {
    parts.join(&JOINT.to_string())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| StoreError::Serialization(Box::new(e)))
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Serialization(Box::new(e)))
}

#[cfg(test)]
mod tests;
