//! SQL of session credentials: named records of one account, sealed, written only under the fence.
//!
//! What a `kind` holds, and what its `number` means, is up to the caller. Every write is one statement that locks the
//! account's lease row against a claim (`FOR SHARE`) and checks the epoch: a plain `EXISTS` would let a write land
//! after the next owner's claim has committed.
//!
//! A store that met a record under a key it was not given writes and deletes nothing more: whoever can't read all of an
//! account's state must not go on changing it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::PgPool;
use tokio::sync::{RwLock, RwLockReadGuard};

use super::{Error, Fence, Result};
use crate::id::AccountId;
use crate::seal::{OpenError, Sealer};

/// One account's credentials, as its present owner may read and write them.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    pool: PgPool,
    sealer: Arc<Sealer>,
    fence: Fence,
    unknown_key: Arc<OnceLock<String>>,
    writes: Arc<Writes>,
}

/// The writes of one store and its clones.
#[derive(Debug, Default)]
struct Writes {
    closed: AtomicBool,
    /// Held for reading by each.
    under_way: RwLock<()>,
}

/// A record, opened. `Debug` prints neither name nor content: names contain phone numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Unique within account and kind.
    pub name: String,
    /// A plain figure that queries need; 0 where there is none.
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
    /// A record without a figure.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), number: 0, bytes: bytes.into() }
    }

    /// The same with a figure.
    #[must_use]
    pub fn numbered(mut self, number: i64) -> Self {
        self.number = number;
        self
    }
}

struct Row {
    name: String,
    number: i64,
    key_id: String,
    sealed: Vec<u8>,
}

/// Records as columns, for `unnest`.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    numbers: Vec<i64>,
    sealed: Vec<Vec<u8>>,
}

impl CredentialStore {
    /// The credentials of the fence's account.
    #[must_use]
    pub fn new(pool: PgPool, sealer: Arc<Sealer>, fence: Fence) -> Self {
        Self { pool, sealer, fence, unknown_key: Arc::default(), writes: Arc::default() }
    }

    /// Refuses every later write of this store and its clones, and waits for those under way: a client's background tasks
    /// outlive its connection, and must not write into what comes after it.
    pub async fn close(&self) {
        self.writes.closed.store(true, Ordering::Release);
        drop(self.writes.under_way.write().await);
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.writes.closed.load(Ordering::Acquire)
    }

    /// The key that a record was found under and that is not configured; from then on every write is refused.
    #[must_use]
    pub fn unknown_key(&self) -> Option<&str> {
        self.unknown_key.get().map(String::as_str)
    }

    /// The right under which this store writes.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// One record.
    ///
    /// # Errors
    /// When the database fails, or the record does not open.
    pub async fn get(&self, kind: i16, name: &str) -> Result<Option<Record>> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 AND name = $3",
            self.fence.account.0,
            kind,
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// Those of the named records that exist, in no particular order.
    ///
    /// # Errors
    /// When the database fails, or a record does not open.
    pub async fn get_many(&self, kind: i16, names: &[String]) -> Result<Vec<Record>> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 AND name = ANY($3)",
            self.fence.account.0,
            kind,
            names
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// All records of a kind, ordered by name.
    ///
    /// # Errors
    /// When the database fails, or a record does not open.
    pub async fn list(&self, kind: i16) -> Result<Vec<Record>> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 ORDER BY name",
            self.fence.account.0,
            kind
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// The record with the highest number, the youngest of several.
    ///
    /// # Errors
    /// When the database fails, or the record does not open.
    pub async fn last(&self, kind: i16) -> Result<Option<Record>> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2
             ORDER BY number DESC, updated_at DESC LIMIT 1",
            self.fence.account.0,
            kind
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// Whether a record exists.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exists(&self, kind: i16, name: &str) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM credentials WHERE account_id = $1 AND kind = $2 AND name = $3) AS "found!""#,
            self.fence.account.0,
            kind,
            name
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Whether any of these kinds has a record whose name begins with any of these texts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn exists_with_prefix(&self, kinds: &[i16], prefixes: &[String]) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT 1 FROM credentials c JOIN unnest($3::text[]) AS p(prefix) ON starts_with(c.name, p.prefix)
                WHERE c.account_id = $1 AND c.kind = ANY($2)
            ) AS "found!"
            "#,
            self.fence.account.0,
            kinds,
            prefixes
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Writes records, replacing those of the same name. Of several with one name the last counts.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, then nothing was written; else when the database fails.
    pub async fn put_many(&self, kind: i16, records: Vec<Record>) -> Result<()> {
        let _turn = self.turn().await?;
        let Some(columns) = self.columns(kind, records)? else { return Ok(()) };
        let held = sqlx::query_scalar!(
            r#"
            WITH f AS (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
            put AS (
                INSERT INTO credentials AS c (account_id, kind, name, number, key_id, sealed)
                SELECT $1, $3, t.name, t.number, $4, t.sealed
                FROM unnest($5::text[], $6::bigint[], $7::bytea[]) AS t(name, number, sealed)
                WHERE EXISTS (SELECT 1 FROM f)
                ON CONFLICT (account_id, kind, name) DO UPDATE
                SET number = excluded.number, key_id = excluded.key_id, sealed = excluded.sealed, updated_at = now()
            )
            SELECT count(*) AS "held!" FROM f
            "#,
            self.fence.account.0,
            self.fence.epoch,
            kind,
            self.sealer.key_id(),
            &columns.names,
            &columns.numbers,
            &columns.sealed
        )
        .fetch_one(&self.pool)
        .await?;
        fenced(held)
    }

    /// Writes one record, replacing that of the same name.
    ///
    /// # Errors
    /// Like [`Self::put_many`].
    pub async fn put(&self, kind: i16, record: Record) -> Result<()> {
        self.put_many(kind, vec![record]).await
    }

    /// Writes those records whose names are new, and answers the names that were there already.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, then nothing was written; else when the database fails.
    pub async fn add_new(&self, kind: i16, records: Vec<Record>) -> Result<Vec<String>> {
        let _turn = self.turn().await?;
        let Some(columns) = self.columns(kind, records)? else { return Ok(Vec::new()) };
        let done = sqlx::query!(
            r#"
            WITH f AS (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
            added AS (
                INSERT INTO credentials (account_id, kind, name, number, key_id, sealed)
                SELECT $1, $3, t.name, t.number, $4, t.sealed
                FROM unnest($5::text[], $6::bigint[], $7::bytea[]) AS t(name, number, sealed)
                WHERE EXISTS (SELECT 1 FROM f)
                ON CONFLICT (account_id, kind, name) DO NOTHING
                RETURNING name
            )
            SELECT (SELECT count(*) FROM f) AS "held!",
                   ARRAY(SELECT n FROM unnest($5::text[]) AS n EXCEPT SELECT name FROM added) AS "present!"
            "#,
            self.fence.account.0,
            self.fence.epoch,
            kind,
            self.sealer.key_id(),
            &columns.names,
            &columns.numbers,
            &columns.sealed
        )
        .fetch_one(&self.pool)
        .await?;
        fenced(done.held)?;
        Ok(done.present)
    }

    /// Deletes records by name and answers how many there were.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, then nothing was deleted; else when the database fails.
    pub async fn delete_many(&self, kind: i16, names: &[String]) -> Result<u64> {
        let _turn = self.turn().await?;
        let done = sqlx::query!(
            r#"
            WITH f AS (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
            gone AS (
                DELETE FROM credentials
                WHERE account_id = $1 AND kind = $3 AND name = ANY($4) AND EXISTS (SELECT 1 FROM f)
                RETURNING 1
            )
            SELECT (SELECT count(*) FROM f) AS "held!", (SELECT count(*) FROM gone) AS "gone!"
            "#,
            self.fence.account.0,
            self.fence.epoch,
            kind,
            names
        )
        .fetch_one(&self.pool)
        .await?;
        fenced(done.held)?;
        Ok(done.gone.unsigned_abs())
    }

    /// Deletes the records of a kind whose names begin with `prefix` (all for an empty one) and whose number is above 0
    /// and below `before`, where that is given: 0 means "kept for good". Answers how many there were.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, then nothing was deleted; else when the database fails.
    pub async fn delete_matching(&self, kind: i16, prefix: &str, before: Option<i64>) -> Result<u64> {
        let _turn = self.turn().await?;
        let done = sqlx::query!(
            r#"
            WITH f AS (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
            gone AS (
                DELETE FROM credentials
                WHERE account_id = $1 AND kind = $3 AND starts_with(name, $4)
                  AND ($5::bigint IS NULL OR (number > 0 AND number < $5)) AND EXISTS (SELECT 1 FROM f)
                RETURNING 1
            )
            SELECT (SELECT count(*) FROM f) AS "held!", (SELECT count(*) FROM gone) AS "gone!"
            "#,
            self.fence.account.0,
            self.fence.epoch,
            kind,
            prefix,
            before
        )
        .fetch_one(&self.pool)
        .await?;
        fenced(done.held)?;
        Ok(done.gone.unsigned_abs())
    }

    /// Deletes a record and answers it: of several callers one gets it. One that no key here opens stays where it is.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, then nothing was deleted; else when the database fails or the record does not open.
    pub async fn take(&self, kind: i16, name: &str) -> Result<Option<Record>> {
        let _turn = self.turn().await?;
        let done = sqlx::query!(
            r#"
            WITH f AS (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
            gone AS (
                DELETE FROM credentials
                WHERE account_id = $1 AND kind = $3 AND name = $4 AND key_id = ANY($5) AND EXISTS (SELECT 1 FROM f)
                RETURNING number, key_id, sealed
            )
            SELECT (SELECT count(*) FROM f) AS "held!", (SELECT number FROM gone) AS number,
                   (SELECT key_id FROM gone) AS key_id, (SELECT sealed FROM gone) AS sealed,
                   (SELECT key_id FROM credentials
                    WHERE account_id = $1 AND kind = $3 AND name = $4 AND key_id <> ALL($5)) AS unknown_key
            "#,
            self.fence.account.0,
            self.fence.epoch,
            kind,
            name,
            &self.sealer.key_ids()
        )
        .fetch_one(&self.pool)
        .await?;
        fenced(done.held)?;
        match (done.number, done.key_id, done.sealed, done.unknown_key) {
            (Some(number), Some(key_id), Some(sealed), _) => {
                self.open(kind, Row { name: name.to_owned(), number, key_id, sealed }).map(Some)
            }
            (.., Some(key_id)) => Err(self.met(key_id)),
            _ => Ok(None),
        }
    }

    /// Seals records into columns: sorted, one per name; `None` when there is nothing to write.
    fn columns(&self, kind: i16, records: Vec<Record>) -> Result<Option<Columns>> {
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

    fn open(&self, kind: i16, row: Row) -> Result<Record> {
        match self.sealer.open(&row.key_id, &row.sealed, &self.place(kind, &row.name)) {
            Ok(bytes) => Ok(Record { name: row.name, number: row.number, bytes }),
            Err(OpenError::UnknownKey) => Err(self.met(row.key_id)),
            Err(error) => Err(Error::Corrupt(format!("credential of kind {kind}: {error}"))),
        }
    }

    /// Notes an unknown key.
    fn met(&self, key_id: String) -> Error {
        let _ = self.unknown_key.set(key_id.clone());
        Error::UnknownKey { key_id }
    }

    /// The right to begin a write: refused once a record could not be read, and after [`close`](Self::close).
    async fn turn(&self) -> Result<RwLockReadGuard<'_, ()>> {
        if let Some(key_id) = self.unknown_key.get() {
            return Err(Error::UnknownKey { key_id: key_id.clone() });
        }
        let open = || match self.writes.closed.load(Ordering::Acquire) {
            true => Err(Error::Conflict("the connection that wrote here has ended".to_owned())),
            false => Ok(()),
        };
        open()?; // and again: it may have been closed meanwhile
        let turn = self.writes.under_way.read().await;
        open().map(|()| turn)
    }

    fn place(&self, kind: i16, name: &str) -> Vec<u8> {
        place(self.fence.account, kind, name)
    }
}

/// The associated data: what binds a sealed value to its row.
pub(super) fn place(account: AccountId, kind: i16, name: &str) -> Vec<u8> {
    let mut place = account.0.as_bytes().to_vec();
    place.extend_from_slice(&kind.to_be_bytes());
    place.extend_from_slice(name.as_bytes());
    place
}

fn fenced(held: i64) -> Result<()> {
    if held == 1 { Ok(()) } else { Err(Error::Fenced) }
}
