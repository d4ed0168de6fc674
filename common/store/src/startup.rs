//! The start of a process. It serves health at once, waits for what it can't do without, and logs in one line what is
//! missing. No work is done before Postgres takes writes and its schema is at least that of this program.
//!
//! | condition | reaction |
//! | --- | --- |
//! | a setting is missing or wrong | exits with 64 before this code runs |
//! | keys that don't fit the database | the worker exits with 78 |
//! | Postgres can't be reached or does not answer | stays alive but not ready, tries again, logs each change once |
//! | Postgres is full, read-only or out of connections | the same |
//! | the schema is old or being changed | the same |
//! | wrong password, database or TLS, missing right, Postgres too old | the same, but logs it once a minute |
//! | the schema is newer | runs and logs it: the previous release runs on the new schema |
//! | the clock is off | runs and logs it: nothing that must happen only once depends on this machine's clock |
//! | Redis is away, full, read-only, evicting or refuses us | runs slower, logs it; api and worker are not ready |

use chrono::TimeDelta;
use process::config::Database;
use process::startup::Startup;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{PostgresError, SchemaGap};
use process::trouble::Trouble;
use process::trouble::postgres::{self, OLDEST_VERSION, Place};
use sqlx::{Connection as _, PgPool};

use super::era;
use super::error::Error;
use super::pool::{ANSWER, connect_lazily};
use super::server::{self, Facts, Schema};

/// A clock that is off by more is logged.
const CLOCK_OFF: TimeDelta = TimeDelta::seconds(2);

/// Waits until Postgres can be used, and opens pools of these sizes. `None`: the process was told to stop.
pub async fn postgres<const N: usize>(
    startup: &mut Startup,
    database: &Database,
    sizes: [u32; N],
) -> Option<[PgPool; N]> {
    let stop = startup.stop();
    loop {
        let opened = stop.run_until_cancelled(open(database, startup.who(), sizes)).await?;
        match opened {
            Ok((found, pools)) => {
                found.warn();
                return Some(pools);
            }
            Err(trouble) => {
                count(&trouble);
                startup.again(&trouble).await?;
            }
        }
    }
}

/// Counts a failed start as a failure of Postgres, although no call of the store was made.
fn count(trouble: &Trouble) {
    if let Some(kind) = PostgresError::ALL.iter().find(|kind| kind.as_str() == trouble.kind) {
        metrics::POSTGRES_ERRORS.of(*kind).inc();
    }
}

/// Sets the metrics of the schema, for alerts while a start waits.
#[expect(clippy::cast_precision_loss, reason = "figures of the page")]
fn show(schema: &Schema) {
    metrics::SCHEMA_MIGRATIONS.of(SchemaGap::Pending).set(schema.pending.len() as f64);
    metrics::SCHEMA_MIGRATIONS.of(SchemaGap::Unknown).set(schema.unknown.len() as f64);
}

/// What a successful check found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The server.
    pub facts: Facts,
    /// The schema.
    pub schema: Schema,
    /// The address of the server.
    pub place: Place,
}

impl Found {
    /// Logs problems that do not keep the process from running.
    fn warn(&self) {
        if let Some(newest) = self.schema.unknown.iter().max() {
            tracing::warn!(
                schema = newest,
                known = server::newest_known(),
                "the schema is newer than this program, which runs on it: finish the upgrade, or it was rolled back"
            );
        }
        if let Some(says) = clock_off(self.facts.ahead, self.facts.ahead_within) {
            tracing::warn!("{says}");
        }
    }
}

/// Pure. The message about a clock that is this far ahead of the database's, with this error; `None` if it is close
/// enough.
#[must_use]
pub fn clock_off(ahead: TimeDelta, within: TimeDelta) -> Option<String> {
    if ahead.abs() - within.abs() <= CLOCK_OFF {
        return None;
    }
    let way = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    Some(format!(
        "this machine's clock is {:.1} s {way} Postgres's: set both by NTP. Leases and reminders go by Postgres's clock and \
         are safe; signatures of webhooks (refused when they are minutes off), the expiry of messages and log lines go by \
         this one",
        ahead.abs().as_seconds_f64()
    ))
}

/// Checks that Postgres can be used: reachable, new enough, writable, with the schema and the rights.
///
/// # Errors
/// The first thing that is wrong.
pub async fn look(database: &Database, who: &str) -> Result<Found, Trouble> {
    let options = super::pool::options(&database.url).map_err(|_| {
        Trouble::by_hand("other", "DATABASE_URL can't be read", "write postgres://user:password@host/name")
    })?;
    let place = Place::from(&options);
    let wrong = |error: sqlx::Error| postgres::of(&error, &place);
    let mut db = server::connect(&options).await.map_err(wrong)?;
    let looked = tokio::time::timeout(ANSWER, async {
        let facts = server::facts(&mut db).await.map_err(wrong)?;
        if facts.version < OLDEST_VERSION {
            return Err(postgres::too_old(facts.version, &place));
        }
        if facts.read_only {
            return Err(postgres::read_only(&place));
        }
        if !facts.schema_usable {
            return Err(postgres::no_schema_in_sight(&place));
        }
        let schema = server::schema(&mut db).await.map_err(wrong)?;
        metrics::CLOCK_OFFSET_SECONDS.set(facts.ahead.as_seconds_f64());
        show(&schema);
        schema_fits(&schema, &place)?;
        let tables = server::tables_without_rights(&mut db).await.map_err(wrong)?;
        if !tables.is_empty() {
            return Err(postgres::lacks_rights(&tables, &place));
        }
        server::write(&mut db, who).await.map_err(wrong)?;
        Ok((facts, schema))
    });
    let (facts, schema) = looked.await.unwrap_or_else(|_| Err(wrong(sqlx::Error::PoolTimedOut)))?;
    let _ = db.close().await; // a failure does not matter
    Ok(Found { facts, schema, place })
}

/// Pure. Checks that work may begin on this schema.
///
/// # Errors
/// If it is older than this program's, or being changed.
pub fn schema_fits(schema: &Schema, place: &Place) -> Result<(), Trouble> {
    if let Some(version) = schema.unfinished {
        return Err(postgres::unfinished_schema(version, place));
    }
    if schema.pending.is_empty() {
        return Ok(());
    }
    Err(postgres::old_schema(schema.newest, server::newest_known(), schema.pending.len(), place))
}

async fn open<const N: usize>(
    database: &Database,
    who: &str,
    sizes: [u32; N],
) -> Result<(Found, [PgPool; N]), Trouble> {
    let found = look(database, who).await?;
    let pools = sizes.map(|size| connect_lazily(&database.url, size));
    let mut opened = Vec::with_capacity(N);
    for pool in pools {
        let pool = pool.map_err(|error| Trouble::by_hand("other", error.to_string(), "correct DATABASE_URL"))?;
        server::healthy(&pool).await?;
        opened.push(pool);
    }
    let pools: [PgPool; N] =
        opened.try_into().map_err(|_| Trouble::in_time("other", "a pool is missing", "report this"))?;
    if let Some(pool) = pools.first() {
        era::keep_up(pool).await.map_err(|error| no_era(error, &found.place))?;
    }
    Ok((found, pools))
}

/// The trouble if a new era can't begin in a database that came from another cluster.
fn no_era(error: Error, place: &Place) -> Trouble {
    let what = "events came from another cluster, as after a restore, and their era can't begin";
    match error {
        Error::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => {
            Trouble::by_hand("permission", what, "run `switchboard-api after-restore` as the owner of the tables")
        }
        Error::Database(error) => postgres::of(&error, place),
        error => Trouble::in_time("other", format!("{what} ({error})"), "run `switchboard-api after-restore`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R60: a clock only counts as off if the time of the query can't explain the difference.
    #[test]
    fn a_clock_that_is_off_is_named_with_what_goes_by_it() {
        let s = |s: f64| TimeDelta::milliseconds((s * 1_000.0) as i64);
        assert_eq!(clock_off(s(1.9), s(0.0)), None);
        assert_eq!(clock_off(s(4.0), s(2.5)), None, "the answer took five seconds");
        let ahead = clock_off(s(7.25), s(0.01)).unwrap();
        assert!(ahead.contains("7.2 s ahead of") || ahead.contains("7.3 s ahead of"), "{ahead}");
        assert!(clock_off(s(-3.0), s(0.0)).unwrap().contains("behind"));
    }
}
