//! SQL of the keys under which credentials are sealed: which keys are in use, and resealing records under another key.
//! It crosses tenants. No fence is needed, since the content of a record does not change.

use sqlx::PgPool;

use super::record::place;
use crate::error::{Error, Result};
use crate::scope::ForAllTenants;
use crate::seal::Sealer;
use domain::id::AccountId;

/// How many records are tried before a key counts as wrong. A single damaged row proves nothing.
const SAMPLES: i64 = 5;

/// The ids of the keys in use, in order. It jumps from id to id in the index, so that it is fast even with millions of
/// records.
///
/// # Errors
/// If the database fails.
pub async fn in_use(all: ForAllTenants<'_>) -> Result<Vec<String>> {
    let ForAllTenants { pool } = all;
    let ids = sqlx::query_scalar!(
        r#"
        WITH RECURSIVE k AS (
            (SELECT key_id FROM credentials ORDER BY key_id LIMIT 1)
            UNION ALL
            SELECT (SELECT c.key_id FROM credentials c WHERE c.key_id > k.key_id ORDER BY c.key_id LIMIT 1)
            FROM k WHERE k.key_id IS NOT NULL
        )
        SELECT key_id AS "key_id!" FROM k WHERE key_id IS NOT NULL
        "#
    )
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// The number of records sealed under a key. It reads all index entries of the key.
///
/// # Errors
/// If the database fails.
pub async fn count(all: ForAllTenants<'_>, key_id: &str) -> Result<i64> {
    let ForAllTenants { pool } = all;
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM credentials WHERE key_id = $1"#, key_id)
        .fetch_one(pool)
        .await?)
}

/// The number of records sealed under other keys.
///
/// # Errors
/// If the database fails.
pub async fn count_others(all: ForAllTenants<'_>, key_id: &str) -> Result<i64> {
    let ForAllTenants { pool } = all;
    Ok(sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM credentials WHERE key_id <> $1"#, key_id)
        .fetch_one(pool)
        .await?)
}

/// Whether the sealer's key with this id opens at least one of some records sealed under it. True if there are none.
///
/// # Errors
/// If the database fails.
pub async fn opens(all: ForAllTenants<'_>, sealer: &Sealer, key_id: &str) -> Result<bool> {
    let ForAllTenants { pool } = all;
    let samples = sqlx::query_as!(
        Sealed,
        r#"
        SELECT account_id AS "account: AccountId", kind, name, key_id, sealed
        FROM credentials WHERE key_id = $1 LIMIT $2
        "#,
        key_id,
        SAMPLES
    )
    .fetch_all(pool)
    .await?;
    Ok(samples.is_empty() || samples.iter().any(|sample| sample.open(sealer).is_some()))
}

/// A record's position in the order of resealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    account: AccountId,
    kind: i16,
    name: String,
}

impl Place {
    /// The position before all records.
    #[must_use]
    pub fn start() -> Self {
        Self { account: AccountId(uuid::Uuid::nil()), kind: i16::MIN, name: String::new() }
    }
}

/// The result of resealing some records.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Records that are now sealed under the current key.
    pub resealed: u64,
    /// Records that were left alone, because a session wrote them meanwhile or was writing them.
    pub missed: u64,
    /// The accounts and kinds of records that could not be opened.
    pub closed: Vec<(AccountId, i16)>,
    /// The position of the last record that was read; `None` if there are no more.
    pub last: Option<Place>,
}

/// Reseals the next records that are not sealed under the sealer's current key.
///
/// A write of a live session always wins. A record is replaced only if it still has the content that was read, and this
/// never waits for a lock. So it can neither delay a session's write nor deadlock with one. `updated_at` does not
/// change.
///
/// # Errors
/// If the database fails.
pub async fn reseal(all: ForAllTenants<'_>, sealer: &Sealer, after: &Place, limit: i64) -> Result<Batch> {
    let ForAllTenants { pool } = all;
    let found = sqlx::query_as!(
        Sealed,
        r#"
        SELECT account_id AS "account: AccountId", kind, name, key_id, sealed FROM credentials
        WHERE key_id <> $1 AND (account_id, kind, name) > ($2, $3, $4)
        ORDER BY account_id, kind, name LIMIT $5
        "#,
        sealer.key_id(),
        after.account.0,
        after.kind,
        after.name,
        limit
    )
    .fetch_all(pool)
    .await?;
    let last = found.last().map(|r| Place { account: r.account, kind: r.kind, name: r.name.clone() });
    let mut closed = Vec::new();
    let mut moves = Moves::default();
    for record in found {
        match record.open(sealer) {
            Some(bytes) => moves.push(sealer, record, &bytes)?,
            None => closed.push((record.account, record.kind)),
        }
    }
    let resealed = moves.write(pool, sealer.key_id()).await?;
    Ok(Batch { resealed, missed: moves.names.len() as u64 - resealed, closed, last })
}

struct Sealed {
    account: AccountId,
    kind: i16,
    name: String,
    key_id: String,
    sealed: Vec<u8>,
}

impl Sealed {
    fn open(&self, sealer: &Sealer) -> Option<Vec<u8>> {
        sealer.open(&self.key_id, &self.sealed, &place(self.account, self.kind, &self.name)).ok()
    }
}

/// Records to replace, as columns.
#[derive(Default)]
struct Moves {
    accounts: Vec<uuid::Uuid>,
    kinds: Vec<i16>,
    names: Vec<String>,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

impl Moves {
    fn push(&mut self, sealer: &Sealer, record: Sealed, bytes: &[u8]) -> Result<()> {
        let place = place(record.account, record.kind, &record.name);
        self.new.push(sealer.seal(bytes, &place).map_err(|e| Error::Corrupt(e.to_string()))?);
        self.accounts.push(record.account.0);
        self.kinds.push(record.kind);
        self.names.push(record.name);
        self.old.push(record.sealed);
        Ok(())
    }

    async fn write(&self, pool: &PgPool, key_id: &str) -> Result<u64> {
        let done = sqlx::query!(
            r#"
            WITH t AS (
                SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[], $5::bytea[])
                    AS t(account_id, kind, name, old, new)
            ), free AS (
                SELECT c.account_id, c.kind, c.name FROM credentials c JOIN t USING (account_id, kind, name)
                WHERE c.sealed = t.old FOR NO KEY UPDATE OF c SKIP LOCKED
            )
            UPDATE credentials c SET key_id = $6, sealed = t.new
            FROM t JOIN free USING (account_id, kind, name)
            WHERE c.account_id = t.account_id AND c.kind = t.kind AND c.name = t.name AND c.sealed = t.old
            "#,
            &self.accounts,
            &self.kinds,
            &self.names,
            &self.old,
            &self.new,
            key_id
        )
        .execute(pool)
        .await?;
        Ok(done.rows_affected())
    }
}
