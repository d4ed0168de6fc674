//! The credentials of one account, and its records before and after sealing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::scope::Under;
use crate::seal::{OpenError, Sealer};
use domain::id::AccountId;

/// The credentials of one account. Its current owner may read and write them.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    pub(super) pool: PgPool,
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
    under_way: RwLock<()>,
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

pub(super) struct Row {
    pub(super) name: String,
    pub(super) number: i64,
    pub(super) key_id: String,
    pub(super) sealed: Vec<u8>,
}

/// Records as columns, for `unnest`.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) numbers: Vec<i64>,
    pub(super) sealed: Vec<Vec<u8>>,
}

impl CredentialStore {
    /// The credential store of the fence's account.
    #[must_use]
    pub fn new(under: Under<'_>, sealer: Arc<Sealer>) -> Self {
        let Under { pool, fence } = under;
        Self { pool: pool.clone(), sealer, fence, unknown_key: Arc::default(), writes: Arc::default() }
    }

    /// Refuses all later writes of this store and its clones, and waits for those under way. The client library's
    /// background tasks outlive its connection and must not write into the state of the next one.
    pub async fn close(&self) {
        self.writes.closed.store(true, Ordering::Release);
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

    /// Seals records into columns: sorted by name, one per name. `None` if there is nothing to write.
    pub(super) fn columns(&self, kind: i16, records: Vec<Record>) -> Result<Option<Columns>> {
        let by_name: BTreeMap<String, (i64, Vec<u8>)> =
            records.into_iter().map(|record| (record.name, (record.number, record.bytes))).collect();
        let mut columns = Columns::default();
        for (name, (number, bytes)) in by_name {
            let sealed =
                self.sealer.seal(&bytes, &self.place(kind, &name)).map_err(|e| Error::Corrupt(e.to_string()))?;
            columns.names.push(name);
            columns.numbers.push(number);
            columns.sealed.push(sealed);
        }
        Ok((!columns.names.is_empty()).then_some(columns))
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
    pub(super) async fn turn(&self) -> Result<RwLockReadGuard<'_, ()>> {
        if let Some(key_id) = self.unknown_key.get() {
            return Err(Error::UnknownKey { key_id: key_id.clone() });
        }
        let open = || match self.writes.closed.load(Ordering::Acquire) {
            true => Err(Error::Closed),
            false => Ok(()),
        };
        open()?; // checked again below, since it may be closed while we wait
        let turn = self.writes.under_way.read().await;
        open().map(|()| turn)
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
