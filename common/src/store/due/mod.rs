//! Occurrences: firing what is due, expanding a run into messages, and settling it from what became of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Result;
use crate::id::{AccountId, ReminderId, RunId, TenantId};
use crate::reminder::{OnGap, Schedule, zone};
use crate::telemetry::metrics;

mod expand;
mod settle;
mod zone_data;

pub use expand::{Expansion, expand_run};
pub use settle::{Settled, settle_runs, unsettled_runs};
pub use zone_data::{Refreshed, refresh_zone_data};

/// A reminder's occurrence has a run; data: `reminder_id`, `run_id`, `fire_at`.
pub const REMINDER_FIRED: &str = "reminder.fired";
/// A reminder can't go on; data: `reminder_id`, `reason`.
pub const REMINDER_FAILED: &str = "reminder.failed";
/// A reminder rests until it is resumed; data: `reminder_id`, `run_id`, `reason`.
pub const REMINDER_PAUSED: &str = "reminder.paused";
/// Zone data changed when a reminder fires next; data: `reminder_id`, `previous`, `next_fire_at`, `zone_data`.
pub const REMINDER_RESCHEDULED: &str = "reminder.rescheduled";
/// A run is over or rests; data: `run_id`, `reminder_id`, `status`, `summary`.
pub const RUN_CHANGED: &str = "run.changed";

/// An occurrence that was fired just now: ring for its run, and signal its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired {
    /// The new run.
    pub run: RunId,
    /// The account that is to send it.
    pub account: AccountId,
    /// Whose.
    pub tenant: TenantId,
}

struct Due {
    id: ReminderId,
    tenant: TenantId,
    account: AccountId,
    start_local: NaiveDateTime,
    timezone: String,
    rrule: Option<String>,
    exdates: Vec<String>,
    on_gap: OnGap,
    fire_at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// What is left of a reminder after an occurrence.
enum Next {
    Rearmed(DateTime<Utc>),
    Ended,
    Failed(String),
}

/// Fires up to `limit` due occurrences of all tenants, the longest overdue first: a run and its targets are written and the
/// reminder re-armed in one transaction (R03, R45). Any number of schedulers may do this at once.
///
/// An occurrence that came due while no scheduler ran fires late, once; the next lies in the future again.
///
/// # Errors
/// When the database does not do it; nothing is fired then.
pub async fn fire_due(db: &PgPool, limit: i64) -> Result<Vec<Fired>> {
    let mut transaction = db.begin().await?;
    let due = lock_due(&mut transaction, limit).await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let fired = insert_runs(&mut transaction, &due).await?;
    let next: Vec<Next> = due.iter().map(next_of).collect();
    rearm(&mut transaction, &due, &next).await?;
    record(&mut transaction, &due, &next, &fired).await?;
    transaction.commit().await?;
    for due in due.iter().filter(|due| fired.iter().any(|(reminder, _)| *reminder == due.id)) {
        metrics::OCCURRENCES_FIRED.inc();
        metrics::OCCURRENCE_LATENESS_SECONDS.observe((due.now - due.fire_at).as_seconds_f64());
    }
    Ok(fired.into_iter().map(|(_, fired)| fired).collect())
}

/// How long until the next occurrence of any tenant is due; zero when one is, none when none is armed.
///
/// # Errors
/// When the database does not answer.
pub async fn next_due_in(db: &PgPool) -> Result<Option<Duration>> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT extract(epoch FROM min(next_fire_at) - clock_timestamp())::double precision FROM reminders
           WHERE next_fire_at IS NOT NULL"#
    )
    .fetch_one(db)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)))
}

async fn lock_due(transaction: &mut PgConnection, limit: i64) -> Result<Vec<Due>> {
    let due = sqlx::query_as!(
        Due,
        r#"
        SELECT id AS "id: ReminderId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId",
               start_local, timezone, rrule, exdates, on_gap AS "on_gap: OnGap",
               next_fire_at AS "fire_at!", now() AS "now!"
        FROM reminders WHERE next_fire_at <= now()
        ORDER BY next_fire_at LIMIT $1
        FOR UPDATE SKIP LOCKED
        "#,
        limit
    )
    .fetch_all(transaction)
    .await?;
    Ok(due)
}

/// Writes runs and targets. An occurrence that has a run already gets no second one: `(reminder_id, fire_at)` is unique.
async fn insert_runs(transaction: &mut PgConnection, due: &[Due]) -> Result<Vec<(ReminderId, Fired)>> {
    let reminders: Vec<Uuid> = due.iter().map(|due| due.id.0).collect();
    let runs: Vec<Uuid> = due.iter().map(|_| RunId::new().0).collect();
    let rows = sqlx::query!(
        r#"
        INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies)
        SELECT fresh.run_id, r.tenant_id, r.id, r.account_id, r.name, a.label, r.version, r.next_fire_at,
               coalesce((SELECT array_agg(m.body ORDER BY m.position) FROM reminder_messages m
                         WHERE m.tenant_id = r.tenant_id AND m.reminder_id = r.id), '{}')
        FROM unnest($1::uuid[], $2::uuid[]) AS fresh (run_id, reminder_id)
        JOIN reminders r ON r.id = fresh.reminder_id
        JOIN accounts a ON a.tenant_id = r.tenant_id AND a.id = r.account_id
        ON CONFLICT (reminder_id, fire_at) DO NOTHING
        RETURNING id AS "run: RunId", reminder_id AS "reminder!: ReminderId", account_id AS "account!: AccountId",
                  tenant_id AS "tenant: TenantId"
        "#,
        &runs,
        &reminders
    )
    .fetch_all(&mut *transaction)
    .await?;
    let written: Vec<Uuid> = rows.iter().map(|row| row.run.0).collect();
    sqlx::query!(
        "INSERT INTO run_targets (tenant_id, run_id, position, chat)
         SELECT t.tenant_id, r.id, t.position, t.chat
         FROM runs r JOIN reminder_targets t ON t.tenant_id = r.tenant_id AND t.reminder_id = r.reminder_id
         WHERE r.id = ANY($1)",
        &written
    )
    .execute(transaction)
    .await?;
    let fired = rows.into_iter();
    Ok(fired.map(|row| (row.reminder, Fired { run: row.run, account: row.account, tenant: row.tenant })).collect())
}

/// What comes after an occurrence. A rule that can't be computed, or panics, ends its reminder and not the tick.
fn next_of(due: &Due) -> Next {
    let after = due.fire_at.max(due.now);
    let computed = catch_unwind(AssertUnwindSafe(|| {
        let rrule = due.rrule.as_deref();
        Schedule::read(due.start_local, &due.timezone, rrule, &due.exdates, due.on_gap)?.next_after(after)
    }));
    match computed {
        Ok(Ok(Some(next))) if due.rrule.is_some() => Next::Rearmed(next),
        Ok(Ok(_)) => Next::Ended,
        Ok(Err(error)) => Next::Failed(error.to_string()),
        Err(_) => Next::Failed("the rule can't be computed".to_owned()),
    }
}

async fn rearm(transaction: &mut PgConnection, due: &[Due], next: &[Next]) -> Result<()> {
    let reminders: Vec<Uuid> = due.iter().map(|due| due.id.0).collect();
    let statuses: Vec<String> = next.iter().map(|next| next.status().to_owned()).collect();
    let times: Vec<Option<DateTime<Utc>>> = next.iter().map(Next::fire_at).collect();
    sqlx::query!(
        "UPDATE reminders r
         SET last_fired_at = now(), next_fire_at = n.fire_at, status = n.status, tzdb_version = $4, updated_at = now()
         FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS n (id, status, fire_at)
         WHERE r.id = n.id",
        &reminders,
        &statuses,
        &times as &[Option<DateTime<Utc>>],
        zone::DATA_VERSION
    )
    .execute(transaction)
    .await?;
    Ok(())
}

impl Next {
    fn status(&self) -> &'static str {
        match self {
            Self::Rearmed(_) => "active",
            Self::Ended => "ended",
            Self::Failed(_) => "failed",
        }
    }

    fn fire_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Rearmed(at) => Some(*at),
            Self::Ended | Self::Failed(_) => None,
        }
    }
}

async fn record(
    transaction: &mut PgConnection,
    due: &[Due],
    next: &[Next],
    fired: &[(ReminderId, Fired)],
) -> Result<()> {
    let mut events = Events::default();
    for (due, next) in due.iter().zip(next) {
        if let Some((_, fired)) = fired.iter().find(|(reminder, _)| *reminder == due.id) {
            let data = serde_json::json!({"reminder_id": due.id, "run_id": fired.run, "fire_at": due.fire_at});
            events.push(due.tenant, Some(due.account), REMINDER_FIRED, data);
        }
        if let Next::Failed(reason) = next {
            tracing::error!(reminder = %due.id, reason, "the reminder can't be armed again");
            let data = serde_json::json!({"reminder_id": due.id, "reason": reason});
            events.push(due.tenant, Some(due.account), REMINDER_FAILED, data);
        }
    }
    events.write(transaction).await
}

/// Events of several tenants, written as one statement.
#[derive(Default)]
struct Events {
    tenants: Vec<Uuid>,
    accounts: Vec<Option<Uuid>>,
    kinds: Vec<String>,
    data: Vec<serde_json::Value>,
}

impl Events {
    fn push(&mut self, tenant: TenantId, account: Option<AccountId>, kind: &str, data: serde_json::Value) {
        self.tenants.push(tenant.0);
        self.accounts.push(account.map(|account| account.0));
        self.kinds.push(kind.to_owned());
        self.data.push(data);
    }

    async fn write(self, transaction: &mut PgConnection) -> Result<()> {
        sqlx::query!(
            "INSERT INTO events (tenant_id, account_id, kind, data)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[])",
            &self.tenants,
            &self.accounts as &[Option<Uuid>],
            &self.kinds,
            &self.data
        )
        .execute(transaction)
        .await?;
        Ok(())
    }
}
