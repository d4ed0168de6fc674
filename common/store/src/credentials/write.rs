//! Writes of credentials, under the fence. Records of all sessions that are written or deleted by name go out together
//! (`batch`); what is rarer is a statement of its own.

use crate::fence::{self, fenced};
use domain::id::AccountId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::batch::{Additions, Change, NewRecords, Records, Write};
use super::record::{CredentialStore, Record, Row};
use crate::error::Result;
use crate::scope::Under;

/// The most records in one statement, so that each takes little time.
const AT_ONCE: usize = 500;

impl CredentialStore {
    /// Refuses all later writes of this store and its clones, and waits for those under way. The client library's
    /// background tasks outlive its connection and must not write into the state of the next one.
    pub async fn close(&self) {
        self.refuse();
        self.batches.sweep::<Records>();
        self.batches.sweep::<NewRecords>();
        self.quiet().await;
    }

    /// Writes records and replaces those with the same names. If a name occurs more than once, the last record counts.
    /// What was asked for first is written first.
    ///
    /// # Errors
    /// `Fenced` under an old epoch; otherwise if it can't be stored. Of more than 500 records, the first may be written.
    pub async fn put_many(&self, kind: i16, records: Vec<Record>) -> Result<()> {
        let mut rows = self.seal(kind, records)?;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(AT_ONCE));
            let turn = self.turn().await?;
            self.change(Write { kind, change: Change::Put(rows), turn }).await?;
            rows = rest;
        }
        Ok(())
    }

    /// Writes one record and replaces that of the same name.
    ///
    /// # Errors
    /// As for [`Self::put_many`].
    pub async fn put(&self, kind: i16, record: Record) -> Result<()> {
        self.put_many(kind, vec![record]).await
    }

    /// Deletes records by name. Those that are missing are none.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, and nothing was deleted.
    pub async fn delete_many(&self, kind: i16, names: &[String]) -> Result<()> {
        let turn = self.turn().await?;
        self.change(Write { kind, change: Change::Delete(names.to_vec()), turn }).await
    }

    async fn change(&self, write: Write) -> Result<()> {
        if write.is_empty() {
            return Ok(());
        }
        self.batches.call::<Records>(self.fence, write).await
    }

    /// Writes the records whose names are new, and returns the names that existed already.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, and nothing was written; otherwise if it can't be stored.
    pub async fn add_new(&self, kind: i16, records: Vec<Record>) -> Result<Vec<String>> {
        let turn = self.turn().await?;
        let rows = self.seal(kind, records)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.batches.call::<NewRecords>(self.fence, Additions { kind, rows, turn }).await
    }

    /// Deletes the records of a kind whose names begin with `prefix` (all if it is empty). If `before` is given, only
    /// those whose number is above 0 and below `before`: number 0 means "kept for good". Returns how many were deleted.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, and nothing was deleted; otherwise if the database fails.
    pub async fn delete_matching(&self, kind: i16, prefix: &str, before: Option<i64>) -> Result<u64> {
        let _turn = self.turn().await?;
        let done = fenced!(
            query,
            self.fence,
            r#"
            gone AS (
                DELETE FROM credentials
                WHERE account_id = $1 AND kind = $3 AND starts_with(name, $4)
                  AND ($5::bigint IS NULL OR (number > 0 AND number < $5)) AND EXISTS (SELECT 1 FROM f)
                RETURNING 1
            )
            SELECT (SELECT count(*) FROM f) AS "held!", (SELECT count(*) FROM gone) AS "gone!"
            "#,
            kind,
            prefix,
            before
        )
        .fetch_one(&self.pool)
        .await?;
        fence::held(done.held)?;
        Ok(done.gone.unsigned_abs())
    }

    /// Deletes a record and returns it. Only one of several callers gets it. A record that no known key opens is not
    /// deleted.
    ///
    /// # Errors
    /// `Fenced` under an old epoch, and nothing was deleted; otherwise if the database fails or the record can't be
    /// opened.
    pub async fn take(&self, kind: i16, name: &str) -> Result<Option<Record>> {
        let _turn = self.turn().await?;
        let done = fenced!(
            query,
            self.fence,
            r#"
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
            kind,
            name,
            &self.sealer.key_ids()
        )
        .fetch_one(&self.pool)
        .await?;
        fence::held(done.held)?;
        match (done.number, done.key_id, done.sealed, done.unknown_key) {
            (Some(number), Some(key_id), Some(sealed), _) => {
                self.open(kind, Row { name: name.to_owned(), number, key_id, sealed }).map(Some)
            }
            (.., Some(key_id)) => Err(self.met(key_id)),
            _ => Ok(None),
        }
    }
}

/// Deletes all credentials of a session, after they have become useless (logged out, duplicate, timed out).
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn scrub(under: Under<'_>) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        gone AS (DELETE FROM credentials c USING f WHERE c.account_id = f.account_id)
        SELECT count(*) AS "held!" FROM f
        "#
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}

/// Deletes an account's credentials within the caller's transaction, which has fenced the owner. Returns whether there
/// were any.
///
/// # Errors
/// If the database fails.
pub(crate) async fn forget(transaction: &mut PgConnection, account: AccountId) -> Result<bool> {
    forget_all(transaction, &[account.0]).await
}

/// Deletes the credentials of many accounts as [`forget`] does.
///
/// # Errors
/// If the database fails.
pub(crate) async fn forget_all(transaction: &mut PgConnection, accounts: &[Uuid]) -> Result<bool> {
    let gone =
        sqlx::query!("DELETE FROM credentials WHERE account_id = ANY($1)", accounts).execute(transaction).await?;
    Ok(gone.rows_affected() > 0)
}
