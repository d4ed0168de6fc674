//! The era of events: the number from which transaction ids are counted. It keeps positions ([`super::events::Cursor`])
//! valid after a restore into another cluster.
//!
//! Events are ordered by the id of the transaction that wrote them, and webhooks and clients store such positions. But
//! each cluster counts its own transactions. After a dump is restored into a new cluster, its events carry transaction
//! ids that the cluster has not reached. They would never count as settled, and new events would sort before them,
//! where no reader looks any more. A new era adds an offset to each transaction id, so that new positions sort after
//! every position given out before. No row is rewritten, and clients see only longer numbers.
//!
//! Writers take the start of the era from the default of `events.txid`, readers from `event_era`. Both change in one
//! transaction that holds an exclusive lock on the table. So all events of the previous era are committed by then, and
//! a reader that sees the new start sees all of them.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::error::{Error, Result};

/// The size of an era: as many numbers as a transaction id has without its epoch.
const SPAN: i64 = 1 << 32;
/// How often a locked table is tried.
const TRIES: usize = 60;
/// The wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Begins a new era if stored positions are ahead of this cluster, as after a restore into another cluster. It must be
/// called before anything else is done with the database. If nothing is to do, it costs one query. Several processes
/// may call it at once.
///
/// # Errors
/// If the database fails: `events` was in use for a minute, or belongs to another role.
pub async fn keep_up(db: &PgPool) -> Result<()> {
    if places(&mut *db.acquire().await?).await?.are_reached() {
        return Ok(());
    }
    if let Some(starts) = begin_unless(db, Places::are_reached).await? {
        tracing::warn!(starts, "events of another cluster were found, as after a restore: a new era of events begins");
    }
    Ok(())
}

/// Begins a new era in any case, and returns where it starts. For a restore to an earlier moment, or a fail-over that
/// lost transactions: their ids are used again, and clients may hold positions with them.
///
/// # Errors
/// As for [`keep_up`].
pub async fn begin(db: &PgPool) -> Result<i64> {
    begin_unless(db, |_| false).await?.ok_or_else(|| Error::Corrupt("no era has begun".to_owned()))
}

/// Positions in the current era.
struct Places {
    /// The highest transaction of an event or a cursor.
    highest: i64,
    /// The next transaction of an event.
    next: i64,
}

impl Places {
    /// Whether the cluster has passed all stored positions. A higher one comes from another cluster.
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

/// Begins an era unless the positions are `good`. A locked table is tried again, so that other sessions wait behind
/// this one for at most two seconds.
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
    // a separate statement, so that it sees what others committed before they released the table
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

/// Pure. The start of an era above this position. It is also above all positions given out by a cluster that was ahead
/// by less than one era, for example after the dump was taken.
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
