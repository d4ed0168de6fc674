//! Expands a run: turns its targets and texts into messages, exactly once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::Rng as _;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::ends::ended;
use super::targets::tallies;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::messages::of_run::{self, Queued};
use crate::notifications::notices::{About, Notices};
use crate::scope::ForAllTenants;
use domain::account;
use domain::committed::Committed;
use domain::event::{self, RunChanged};
use domain::id::{AccountId, MessageId, ReminderId, RunId, TenantId};
use domain::job::Bell;
use domain::message::{ID_ENTROPY, whatsapp_id};
use domain::reminder::Overlap;
use domain::run::machine::{Event, decide};
use domain::run::notice::Kind;
use domain::run::{Status, Tally};
use process::telemetry::trace::{self, Destination, Step};
use schedule::Window;
use schedule::zone::Tz;

/// The result of an expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expansion {
    /// Its messages are queued now.
    Expanded {
        /// The account that sends them.
        account: AccountId,
        /// Its tenant.
        tenant: TenantId,
        /// The number of messages.
        messages: usize,
    },
    /// It was expanded before, or has finished. Nothing changed. This is the result for a doubled bell.
    Already(Status),
    /// It will not be sent. The reason is stored in the run.
    Dropped {
        /// Its tenant.
        tenant: TenantId,
        /// `canceled` if its reminder was edited or deleted, or its account deleted; otherwise `failed`.
        status: Status,
        /// The reason, for a person.
        reason: String,
    },
    /// An earlier run of its reminder is in progress. The run waits for it, and the bell rings when that one ends.
    Waits,
    /// There is no such run.
    Gone,
}

impl Expansion {
    /// The name of the result, for traces.
    fn word(&self) -> &'static str {
        match self {
            Self::Expanded { .. } => "expanded",
            Self::Already(_) => "already",
            Self::Dropped { .. } => "dropped",
            Self::Waits => "waits",
            Self::Gone => "gone",
        }
    }
}

struct Run {
    tenant: TenantId,
    reminder: Option<ReminderId>,
    account: Option<AccountId>,
    status: Status,
    version: i32,
    fire_at: DateTime<Utc>,
    name: String,
    texts: i32,
    trace: Option<String>,
}

/// The decision about a pending run.
enum Plan {
    Send(AccountId, Option<DateTime<Utc>>),
    Wait,
    Drop(Event, String),
}

/// Turns a pending run into messages: all texts for the first target, then for the next, in the reminder's order. With
/// a delivery window, the messages expire when it closes.
///
/// # Errors
/// If the database fails. Then the run is still pending.
pub async fn expand_run(all: ForAllTenants<'_>, run: RunId) -> Result<Committed<Expansion>> {
    let ForAllTenants { pool: db } = all;
    let step = trace::process(Destination::Runs, None).message(&run);
    let expansion = expand(db, run, &step).await;
    step.heard(&expansion);
    if let Ok(expansion) = &expansion {
        step.outcome(expansion.word());
    }
    Ok(told(expansion?))
}

fn told(expansion: Expansion) -> Committed<Expansion> {
    match expansion {
        Expansion::Expanded { account, tenant, .. } => {
            Committed::new(expansion).ring(Bell::Send { account }).signal([tenant])
        }
        Expansion::Dropped { tenant, .. } => Committed::new(expansion).signal([tenant]),
        Expansion::Already(_) | Expansion::Waits | Expansion::Gone => Committed::new(expansion),
    }
}

async fn expand(db: &PgPool, run: RunId, step: &Step) -> Result<Expansion> {
    let mut transaction = db.begin().await?;
    let Some(found) = lock_run(&mut transaction, run).await? else { return Ok(Expansion::Gone) };
    step.follows(found.trace.as_deref());
    if found.status != Status::Pending {
        return Ok(Expansion::Already(found.status));
    }
    let expansion = match plan(&mut transaction, run, &found).await? {
        Plan::Send(account, expires_at) => queue(&mut transaction, run, &found, (account, expires_at), step).await?,
        Plan::Wait => return Ok(Expansion::Waits),
        Plan::Drop(event, reason) => drop_run(&mut transaction, run, &found, event, reason).await?,
    };
    transaction.commit().await?;
    if let Expansion::Dropped { status, .. } = &expansion {
        ended([*status]);
    }
    Ok(expansion)
}

/// Ends up to `limit` pending runs that no worker has expanded, although nothing blocks them, for `age` and for the
/// catch-up window of their reminder. Returns their tenants.
///
/// # Errors
/// If the database fails. Then the runs are still pending.
pub async fn give_up_runs(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let stuck = sqlx::query_scalar!(
        r#"
        SELECT r.id AS "id: RunId" FROM runs r LEFT JOIN reminders m ON m.id = r.reminder_id
        WHERE r.status = 'pending'
          AND r.created_at < now() - greatest(make_interval(secs => $1), make_interval(secs => m.catchup_window_s))
          AND NOT EXISTS (
              SELECT FROM runs b WHERE b.reminder_id = r.reminder_id AND (b.fire_at, b.id) < (r.fire_at, r.id)
                AND ((b.status IN ('pending', 'running') AND b.resumed_at IS NULL)
                     OR b.finished_at > now() - make_interval(secs => $1)))
        ORDER BY r.id LIMIT $2 FOR UPDATE OF r SKIP LOCKED
        "#,
        age.as_secs_f64(),
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    let (mut tenants, mut statuses) = (Vec::with_capacity(stuck.len()), Vec::with_capacity(stuck.len()));
    for id in stuck {
        let Some(run) = lock_run(&mut transaction, id).await? else { continue };
        let reason = "no worker could begin it in time".to_owned();
        if let Expansion::Dropped { status, .. } =
            drop_run(&mut transaction, id, &run, Event::Unsendable, reason).await?
        {
            statuses.push(status);
        }
        tracing::warn!(run = %id, "a run that could not be begun was given up");
        tenants.push(run.tenant);
    }
    transaction.commit().await?;
    ended(statuses);
    Ok(Committed::news_of(tenants))
}

async fn lock_run(transaction: &mut PgConnection, run: RunId) -> Result<Option<Run>> {
    let run = sqlx::query_as!(
        Run,
        r#"
        SELECT tenant_id AS "tenant: TenantId", reminder_id AS "reminder: ReminderId",
               account_id AS "account: AccountId", status AS "status: Status", version, fire_at,
               reminder_name AS name, cardinality(bodies) AS "texts!", trace
        FROM runs WHERE id = $1 FOR UPDATE
        "#,
        run.0
    )
    .fetch_optional(transaction)
    .await?;
    Ok(run)
}

/// Decides whether a run is sent, by which account and until when. Locks the reminder against edits.
async fn plan(transaction: &mut PgConnection, id: RunId, run: &Run) -> Result<Plan> {
    let reminder = sqlx::query!(
        r#"SELECT version, timezone, window_end, window_start_min, window_end_min, overlap AS "overlap: Overlap" FROM reminders
           WHERE tenant_id = $1 AND id = $2 FOR SHARE"#,
        run.tenant.0,
        run.reminder.map(|reminder| reminder.0)
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let account = sqlx::query_scalar!(
        r#"SELECT status AS "status: account::Status" FROM accounts
           WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased' FOR SHARE"#,
        run.tenant.0,
        run.account.map(|account| account.0)
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&mut *transaction).await?;
    let refuse = |event, reason: &str| Ok(Plan::Drop(event, reason.to_owned()));
    let superseded = Event::Superseded { tally: Tally::default(), left: false };
    let Some(reminder) = reminder else { return refuse(superseded, "the reminder was deleted") };
    if reminder.version != run.version {
        return refuse(superseded, "the reminder was edited");
    }
    let (Some(account), Some(status)) = (run.account, account) else {
        return refuse(superseded, "the account was deleted");
    };
    if let Some(reason) = unable(status) {
        return refuse(Event::Unsendable, reason);
    }
    if reminder.overlap != Overlap::Allow && is_behind(transaction, id, run).await? {
        return Ok(Plan::Wait);
    }
    let tz: Tz = reminder.timezone.parse().unwrap_or(Tz::UTC);
    let window = Window::stored(reminder.window_end, reminder.window_start_min, reminder.window_end_min);
    if !Window::is_open(window, tz, run.fire_at, now) {
        return refuse(Event::Unsendable, "the delivery window had closed");
    }
    Ok(Plan::Send(account, window.map(|window| window.closes_at(tz, run.fire_at))))
}

/// Whether an earlier run of the same reminder is in progress or is waiting itself. A run that is paused, or was
/// resumed, blocks no other.
async fn is_behind(transaction: &mut PgConnection, id: RunId, run: &Run) -> Result<bool> {
    let behind = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM runs WHERE reminder_id = $1 AND finished_at IS NULL
               AND status IN ('pending', 'running') AND resumed_at IS NULL AND (fire_at, id) < ($2, $3)) AS "behind!""#,
        run.reminder.map(|reminder| reminder.0),
        run.fire_at,
        id.0
    )
    .fetch_one(transaction)
    .await?;
    Ok(behind)
}

/// Why an account can't send; `None` if it can, or will soon.
pub(crate) fn unable(status: account::Status) -> Option<&'static str> {
    match status {
        account::Status::Connected | account::Status::Disconnected => None,
        account::Status::Unpaired => Some("the account is not paired"),
        account::Status::Pending => Some("the account is being paired"),
        account::Status::LoggedOut => Some("the account was logged out by its phone"),
        account::Status::Banned => Some("the account is banned"),
    }
}

async fn queue(
    transaction: &mut PgConnection,
    id: RunId,
    run: &Run,
    (account, expires_at): (AccountId, Option<DateTime<Utc>>),
    step: &Step,
) -> Result<Expansion> {
    let targets = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM run_targets WHERE tenant_id = $1 AND run_id = $2 AND state = 'pending'"#,
        run.tenant.0,
        id.0
    )
    .fetch_one(&mut *transaction)
    .await?;
    let messages = usize::try_from(targets * i64::from(run.texts)).unwrap_or(0);
    if messages == 0 {
        return drop_run(transaction, id, run, Event::Unsendable, "the reminder has no text or no target".to_owned())
            .await;
    }
    let ids: Vec<Uuid> = (0..messages).map(|_| MessageId::new().0).collect();
    let whatsapp_ids: Vec<String> = (0..messages)
        .map(|_| {
            let mut entropy = [0; ID_ENTROPY];
            rand::rng().fill_bytes(&mut entropy);
            whatsapp_id(entropy)
        })
        .collect();
    let step = step.send(Destination::Outbox).tenant(run.tenant).account(account).batch(messages);
    let queued = Queued { ids: &ids, whatsapp_ids: &whatsapp_ids, expires_at, trace: step.context() };
    of_run::queue(transaction, (run.tenant, account), id, queued).await?;
    let status = decided(id, run.status, Event::Expanded)?;
    sqlx::query!("UPDATE runs SET status = $2 WHERE id = $1", id.0, status.as_str()).execute(transaction).await?;
    Ok(Expansion::Expanded { account, tenant: run.tenant, messages })
}

/// The status of a pending run after an event. If the state machine refuses the event, this is a bug, and nothing is
/// written.
fn decided(id: RunId, status: Status, event: Event) -> Result<Status> {
    let step = decide(status, event, false);
    step.map(|step| step.status)
        .ok_or_else(|| Error::Corrupt(format!("run {id} is {status:?} and can't hear {event:?}")))
}

async fn drop_run(
    transaction: &mut PgConnection,
    id: RunId,
    run: &Run,
    event: Event,
    reason: String,
) -> Result<Expansion> {
    let status = decided(id, run.status, event)?;
    sqlx::query!(
        "UPDATE run_targets SET state = 'skipped', reason = $2, finished_at = now() WHERE run_id = $1 AND state = 'pending'",
        id.0,
        reason
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "UPDATE runs SET status = $2, summary = $3, finished_at = now() WHERE id = $1",
        id.0,
        status.as_str(),
        reason
    )
    .execute(&mut *transaction)
    .await?;
    let tally = tallies(transaction, &[id.0]).await?.remove(&id).unwrap_or_default();
    let changed = event::Event::RunChanged(RunChanged::of(id, run.reminder, status, reason.clone(), tally));
    let mut events = Events::default();
    events.push_of(run.trace.clone(), run.tenant, run.account, &changed);
    events.write(&mut *transaction).await?;
    if status == Status::Failed {
        let mut notices = Notices::default();
        let about = About { tenant: run.tenant, reminder: run.reminder, name: &run.name, run: Some(id) };
        notices.push(about, Kind::Failed, format!("Nothing was sent: {reason}."));
        notices.write(&mut *transaction).await?;
    }
    Ok(Expansion::Dropped { tenant: run.tenant, status, reason })
}
