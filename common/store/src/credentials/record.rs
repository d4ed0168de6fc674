//! The credentials of one account, and its records before and after sealing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::batched::Batches;
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::scope::Under;
use crate::seal::{OpenError, Sealer};
use domain::id::AccountId;

/// The credentials of one account. Its current owner may read and write them.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    pub(super) pool: PgPool,
    pub(super) batches: Arc<Batches>,
    pub(super) sealer: Arc<Sealer>,
    pub(super) fence: Fence,
    unknown_key: Arc<OnceLock<String>>,
    writes: Arc<Writes>,
}

/// The writes of one store and its clones.
#[derive(Debug, Default)]
struct Writes {
    closed: AtomicBool,
    /// Each write holds it for reading.
    under_way: Arc<RwLock<()>>,
}

/// Permission for a write, held until it is over.
#[derive(Debug)]
pub(crate) struct Turn {
    writes: Arc<Writes>,
    _under_way: OwnedRwLockReadGuard<()>,
}

impl Turn {
    /// Whether the store was closed meanwhile.
    pub(super) fn is_closed(&self) -> bool {
        self.writes.closed.load(Ordering::Acquire)
    }
}

/// An opened record. `Debug` prints neither name nor content, since names contain phone numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The name, unique within account and kind.
    pub name: String,
    /// A number that queries use; 0 if there is none.
    pub number: i64,
    /// The content.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("number", &self.number).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Record {
    /// A record with number 0.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), number: 0, bytes: bytes.into() }
    }

    /// Sets the number.
    #[must_use]
    pub fn numbered(mut self, number: i64) -> Self {
        self.number = number;
        self
    }
}

/// A sealed record.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) number: i64,
    pub(super) key_id: String,
    pub(super) sealed: Vec<u8>,
}

impl CredentialStore {
    /// The credential store of the fence's account.
    #[must_use]
    pub fn new(under: Under<'_>, sealer: Arc<Sealer>) -> Self {
        let Under { pool, batches, fence } = under;
        let (pool, batches) = (pool.clone(), Arc::clone(batches));
        Self { pool, batches, sealer, fence, unknown_key: Arc::default(), writes: Arc::default() }
    }

    /// Refuses all later writes of this store and its clones.
    pub(super) fn refuse(&self) {
        self.writes.closed.store(true, Ordering::Release);
    }

    /// Waits for the writes under way.
    pub(super) async fn quiet(&self) {
        drop(self.writes.under_way.write().await);
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.writes.closed.load(Ordering::Acquire)
    }

    /// The unknown key under which a record was sealed, if one was met. From then on every write is refused.
    #[must_use]
    pub fn unknown_key(&self) -> Option<&str> {
        self.unknown_key.get().map(String::as_str)
    }

    /// The fence under which this store writes.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Seals records: sorted by name, one per name, which is the last.
    pub(super) fn seal(&self, kind: i16, records: Vec<Record>) -> Result<Vec<Row>> {
        let by_name: BTreeMap<String, (i64, Vec<u8>)> =
            records.into_iter().map(|record| (record.name, (record.number, record.bytes))).collect();
        let rows = by_name.into_iter().map(|(name, (number, bytes))| {
            let sealed = self.sealer.seal(&bytes, &self.place(kind, &name));
            let sealed = sealed.map_err(|error| Error::Corrupt(error.to_string()))?;
            Ok(Row { name, number, key_id: self.sealer.key_id().to_owned(), sealed })
        });
        rows.collect()
    }

    pub(super) fn open(&self, kind: i16, row: Row) -> Result<Record> {
        match self.sealer.open(&row.key_id, &row.sealed, &self.place(kind, &row.name)) {
            Ok(bytes) => Ok(Record { name: row.name, number: row.number, bytes }),
            Err(OpenError::UnknownKey) => Err(self.met(row.key_id)),
            Err(error) => Err(Error::Corrupt(format!("credential of kind {kind}: {error}"))),
        }
    }

    /// Remembers an unknown key.
    pub(super) fn met(&self, key_id: String) -> Error {
        let _ = self.unknown_key.set(key_id.clone());
        Error::UnknownKey { key_id }
    }

    /// Permission for a write. It is refused after an unknown key was met, and after [`close`](Self::close).
    pub(super) async fn turn(&self) -> Result<Turn> {
        if let Some(key_id) = self.unknown_key.get() {
            return Err(Error::UnknownKey { key_id: key_id.clone() });
        }
        if self.is_closed() {
            return Err(Error::Closed); // checked again below, since it may be closed while we wait
        }
        let under_way = Arc::clone(&self.writes.under_way).read_owned().await;
        let turn = Turn { writes: Arc::clone(&self.writes), _under_way: under_way };
        if turn.is_closed() { Err(Error::Closed) } else { Ok(turn) }
    }

    fn place(&self, kind: i16, name: &str) -> Vec<u8> {
        place(self.fence.account, kind, name)
    }
}

/// The associated data, which binds a sealed value to its row.
pub(super) fn place(account: AccountId, kind: i16, name: &str) -> Vec<u8> {
    let mut place = account.0.as_bytes().to_vec();
    place.extend_from_slice(&kind.to_be_bytes());
    place.extend_from_slice(name.as_bytes());
    place
}
