//! The era of events: from where transaction ids are counted, so that positions ([`super::events::Cursor`]) outlive the
//! cluster in which they were given.
//!
//! Events are ordered by the transaction that wrote them, webhooks and clients remember such positions, and a cluster counts
//! its own transactions. A dump that is restored into a new cluster therefore holds events of transactions that are still to
//! come there: they would never be settled, and what is written next would stand before them, where nobody looks any more. A
//! new era adds to each transaction's number what puts it behind every position that was ever given. No row is rewritten, and
//! nobody outside notices more than longer numbers.
//!
//! Writers have the start of the era in the default of `events.txid`, readers in `event_era`. Both change in one transaction
//! that holds the table alone: every event of the era before is committed by then, and a reader that sees the new start sees
//! all of those.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::error::{Error, Result};

/// One era's numbers: as many as a transaction id has without its epoch.
const SPAN: i64 = 1 << 32;
/// How often a table in use is tried.
const TRIES: usize = 60;
/// The wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins a new era if positions are stored that this cluster has yet to come to, as after a restore into another cluster.
/// To be called before anything else is done with the database; it costs one question where nothing is to do. Several may
/// call it at once.
///
/// # Errors
/// When the database does not do it: `events` was in use for a minute, or belongs to another role.
pub async fn keep_up(db: &PgPool) -> Result<()> {
    if places(&mut *db.acquire().await?).await?.are_reached() {
        return Ok(());
    }
    if let Some(starts) = begin_unless(db, Places::are_reached).await? {
        tracing::warn!(starts, "events of another cluster were found, as after a restore: a new era of events begins");
    }
    Ok(())
}

/// Begins a new era in any case, and answers where it starts. For a restore to an earlier moment, or a fail-over that lost
/// transactions: their numbers are given out again, and clients may hold positions among them.
///
/// # Errors
/// As [`keep_up`].
pub async fn begin(db: &PgPool) -> Result<i64> {
    begin_unless(db, |_| false).await?.ok_or_else(|| Error::Corrupt("no era has begun".to_owned()))
}

/// What is known of the era in force.
struct Places {
    /// The highest transaction that an event or a cursor names.
    highest: i64,
    /// The next that an event may name.
    next: i64,
}

impl Places {
    /// What a cluster has committed stands below its next transaction; what does not came from elsewhere.
    fn are_reached(&self) -> bool {
        self.highest < self.next
    }
}

async fn places(db: &mut PgConnection) -> Result<Places> {
    let places = sqlx::query_as!(
        Places,
        r#"
        SELECT coalesce(greatest(
                (SELECT max(cursor_txid) FROM webhooks),
                (SELECT max(last.txid::text::bigint) FROM tenants t CROSS JOIN LATERAL (
                    SELECT txid FROM events e WHERE e.tenant_id = t.id
                    ORDER BY e.tenant_id DESC, e.txid DESC, e.id DESC LIMIT 1) last)), 0) AS "highest!",
            starts + pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS "next!"
        FROM event_era
        "#
    )
    .fetch_one(db)
    .await?;
    Ok(places)
}

/// A table in use is tried again, so that nobody waits behind us for more than two seconds.
async fn begin_unless(db: &PgPool, good: impl Fn(&Places) -> bool) -> Result<Option<i64>> {
    for _ in 1..TRIES {
        match begin_once(db, &good).await {
            Err(Error::Database(sqlx::Error::Database(error))) if error.code().as_deref() == Some("55P03") => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    begin_once(db, &good).await
}

async fn begin_once(db: &PgPool, good: impl Fn(&Places) -> bool) -> Result<Option<i64>> {
    let mut transaction = db.begin().await?;
    sqlx::query!("SET LOCAL lock_timeout = '2s'").execute(&mut *transaction).await?;
    sqlx::query!("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await?;
    // a statement of its own: it sees what others did before they let go of the table
    let places = places(&mut transaction).await?;
    if good(&places) {
        return Ok(None);
    }
    let starts = start_behind(places.highest.max(places.next));
    let starts = starts.ok_or_else(|| Error::Corrupt("there is no era left".to_owned()))?;
    let clock = format!("(pg_current_xact_id()::text::bigint + {starts})::text::xid8");
    let writers = format!("ALTER TABLE events ALTER COLUMN txid SET DEFAULT {clock}");
    sqlx::query(AssertSqlSafe(writers)).execute(&mut *transaction).await?;
    sqlx::query!("UPDATE event_era SET starts = $1, begun_at = now()", starts).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some(starts))
}

/// Pure. The start of an era behind this position, and behind all that were given out by a cluster that was ahead of it by less
/// than an era, as what happened after a dump.
fn start_behind(highest: i64) -> Option<i64> {
    (highest / SPAN + 2).checked_mul(SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_starts_behind_what_was_and_what_may_have_been() {
        for highest in [0, 1, 5_000_000, SPAN - 1, SPAN, 7 * SPAN + 3] {
            let starts = start_behind(highest).unwrap();
            assert!(starts % SPAN == 0 && starts > highest + SPAN - 1 && starts <= highest + 2 * SPAN, "{highest}");
        }
        assert_eq!(start_behind(i64::MAX), None);
    }
}
