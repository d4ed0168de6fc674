//! What a fault campaign reads from Postgres at its end, and the triggers that record who owned which account, and
//! when.
//!
//! These queries are not checked at compile time, because they read tables that only a campaign's database has.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

/// Records every change of an owner or epoch with the start time of its transaction, which determines what the
/// transaction could see. Records every heartbeat with the current time.
const INSTALL: &str = "
    CREATE TABLE witness_leases (n bigint GENERATED ALWAYS AS IDENTITY, account_id uuid, epoch bigint, owner uuid,
                                 at timestamptz DEFAULT now());
    CREATE TABLE witness_beats (n bigint GENERATED ALWAYS AS IDENTITY, worker uuid, stopped boolean,
                                at timestamptz DEFAULT clock_timestamp());
    CREATE FUNCTION witness_lease() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness_leases (account_id, epoch, owner) VALUES (NEW.account_id, NEW.epoch, NEW.owner);
        RETURN NEW; END $$;
    CREATE FUNCTION witness_beat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness_beats (worker, stopped) VALUES (NEW.id, NEW.stopped_at IS NOT NULL);
        RETURN NEW; END $$;
    CREATE TRIGGER witness_lease AFTER UPDATE ON leases FOR EACH ROW
        WHEN (OLD.epoch <> NEW.epoch OR OLD.owner IS DISTINCT FROM NEW.owner) EXECUTE FUNCTION witness_lease();
    CREATE TRIGGER witness_beat AFTER INSERT OR UPDATE ON workers FOR EACH ROW EXECUTE FUNCTION witness_beat();";

/// A change of an account's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseChange {
    /// The account.
    pub account: Uuid,
    /// The new epoch.
    pub epoch: i64,
    /// The new owner.
    pub owner: Option<Uuid>,
    /// The time in Unix microseconds.
    pub at_us: i64,
}

/// A heartbeat of a worker process, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The worker process.
    pub worker: Uuid,
    /// Whether the worker reported that it has stopped.
    pub stopped: bool,
    /// The time in Unix microseconds.
    pub at_us: i64,
}

/// The row of an account.
#[derive(Debug, Clone)]
pub struct AccountRow {
    /// Its status.
    pub status: String,
    /// The device's address.
    pub jid: Option<String>,
    /// The number of stored credential records.
    pub credentials: i64,
}

/// The row of a message.
#[derive(Debug, Clone)]
pub struct MessageRow {
    /// Its text.
    pub body: String,
    /// Its state.
    pub state: String,
    /// The reason if it failed.
    pub reason: Option<String>,
}

/// The row of a run.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// The reminder's name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// The summary.
    pub summary: Option<String>,
    /// Seconds from the time at which it was due to the creation of the row.
    pub late_s: f64,
}

/// Access to the database of a campaign.
#[derive(Debug, Clone)]
pub struct Witness(PgPool);

type Answer<T> = Result<T, sqlx::Error>;

impl Witness {
    /// Access to the database at `url`.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn open(url: &str) -> Answer<Self> {
        Ok(Self(sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_lazy(url)?))
    }

    /// Creates the tables and triggers that record.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn install(&self) -> Answer<()> {
        sqlx::raw_sql(INSTALL).execute(&self.0).await.map(drop)
    }

    /// All changes of leases, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lease_changes(&self) -> Answer<Vec<LeaseChange>> {
        let rows = sqlx::query("SELECT account_id, epoch, owner, at FROM witness_leases ORDER BY n")
            .fetch_all(&self.0)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LeaseChange {
                    account: row.try_get(0)?,
                    epoch: row.try_get(1)?,
                    owner: row.try_get(2)?,
                    at_us: us(row.try_get(3)?),
                })
            })
            .collect()
    }

    /// All heartbeats, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn beats(&self) -> Answer<Vec<Beat>> {
        let rows = sqlx::query("SELECT worker, stopped, at FROM witness_beats ORDER BY n").fetch_all(&self.0).await?;
        rows.iter()
            .map(|row| Ok(Beat { worker: row.try_get(0)?, stopped: row.try_get(1)?, at_us: us(row.try_get(2)?) }))
            .collect()
    }

    /// All accounts by id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn accounts(&self) -> Answer<HashMap<String, AccountRow>> {
        let ask = "SELECT id::text, status, jid, (SELECT count(*) FROM credentials c WHERE c.account_id = a.id) FROM accounts a";
        let rows = sqlx::query(ask).fetch_all(&self.0).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get(0)?,
                    AccountRow { status: row.try_get(1)?, jid: row.try_get(2)?, credentials: row.try_get(3)? },
                ))
            })
            .collect()
    }

    /// All messages, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn messages(&self) -> Answer<Vec<MessageRow>> {
        let rows = sqlx::query("SELECT body, state, reason FROM messages ORDER BY seq").fetch_all(&self.0).await?;
        rows.iter()
            .map(|row| Ok(MessageRow { body: row.try_get(0)?, state: row.try_get(1)?, reason: row.try_get(2)? }))
            .collect()
    }

    /// All runs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn runs(&self) -> Answer<Vec<RunRow>> {
        let ask = "SELECT reminder_name, status, summary, extract(epoch FROM created_at - fire_at)::float8 FROM runs";
        let rows = sqlx::query(ask).fetch_all(&self.0).await?;
        rows.iter()
            .map(|row| {
                Ok(RunRow {
                    name: row.try_get(0)?,
                    status: row.try_get(1)?,
                    summary: row.try_get(2)?,
                    late_s: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// The texts of all received messages, once for each event.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn received(&self) -> Answer<Vec<String>> {
        let ask = "SELECT data ->> 'text' FROM events WHERE kind = 'message.received' AND data ->> 'text' IS NOT NULL";
        sqlx::query_scalar(ask).fetch_all(&self.0).await
    }

    /// The number of messages and runs that are not finished, and of reminders that are due soon or overdue.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unfinished(&self) -> Answer<i64> {
        let ask = "SELECT (SELECT count(*) FROM messages WHERE state = 'queued')
                        + (SELECT count(*) FROM runs WHERE status IN ('pending', 'running'))
                        + (SELECT count(*) FROM reminders WHERE next_fire_at < now() + interval '1 hour')";
        sqlx::query_scalar(ask).fetch_one(&self.0).await
    }
}

fn us(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}
