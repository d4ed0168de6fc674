//! Expanding a run: its targets and texts become messages, once.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rand::Rng as _;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Events, RUN_CHANGED};
use crate::account;
use crate::id::{AccountId, MessageId, ReminderId, RunId, TenantId};
use crate::message::{ID_ENTROPY, whatsapp_id};
use crate::reminder::window;
use crate::run::Status;
use crate::store::Result;

/// What became of a run that was to be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expansion {
    /// Its messages are queued now: ring for the account, and signal the tenant.
    Expanded {
        /// Who sends them.
        account: AccountId,
        /// Whose.
        tenant: TenantId,
        /// How many.
        messages: usize,
    },
    /// It was expanded before, or is over: nothing was changed. A doubled bell ends here.
    Already(Status),
    /// It will not be sent; the run says why. Signal the tenant.
    Dropped {
        /// Whose.
        tenant: TenantId,
        /// `canceled` when its reminder was edited or deleted since (R44), `failed` otherwise.
        status: Status,
        /// Why, for a person.
        reason: String,
    },
    /// There is no such run.
    Gone,
}

struct Run {
    tenant: TenantId,
    reminder: Option<ReminderId>,
    account: Option<AccountId>,
    status: Status,
    version: i32,
    fire_at: DateTime<Utc>,
    bodies: Vec<String>,
}

/// Turns a pending run into messages: every text for the first target, then for the next, in the order of the reminder.
/// Messages of a run with a delivery window expire when it closes (R46).
///
/// # Errors
/// When the database does not do it; the run is then pending still.
pub async fn expand_run(db: &PgPool, run: RunId) -> Result<Expansion> {
    let mut transaction = db.begin().await?;
    let Some(found) = lock_run(&mut transaction, run).await? else { return Ok(Expansion::Gone) };
    if found.status != Status::Pending {
        return Ok(Expansion::Already(found.status));
    }
    let expansion = match plan(&mut transaction, &found).await? {
        Ok((account, expires_at)) => queue(&mut transaction, run, &found, account, expires_at).await?,
        Err((status, reason)) => drop_run(&mut transaction, run, &found, status, reason).await?,
    };
    transaction.commit().await?;
    Ok(expansion)
}

async fn lock_run(transaction: &mut PgConnection, run: RunId) -> Result<Option<Run>> {
    let run = sqlx::query_as!(
        Run,
        r#"
        SELECT tenant_id AS "tenant: TenantId", reminder_id AS "reminder: ReminderId",
               account_id AS "account: AccountId", status AS "status: Status", version, fire_at, bodies
        FROM runs WHERE id = $1 FOR UPDATE
        "#,
        run.0
    )
    .fetch_optional(transaction)
    .await?;
    Ok(run)
}

type Plan = std::result::Result<(AccountId, Option<DateTime<Utc>>), (Status, String)>;

/// Who sends and until when; or why nobody does. The reminder is locked against edits meanwhile.
async fn plan(transaction: &mut PgConnection, run: &Run) -> Result<Plan> {
    let reminder = sqlx::query!(
        "SELECT version, timezone, window_end FROM reminders WHERE tenant_id = $1 AND id = $2 FOR SHARE",
        run.tenant.0,
        run.reminder.map(|reminder| reminder.0)
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let account = sqlx::query_scalar!(
        r#"SELECT status AS "status: account::Status" FROM accounts WHERE tenant_id = $1 AND id = $2 FOR SHARE"#,
        run.tenant.0,
        run.account.map(|account| account.0)
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(transaction).await?;
    let refuse = |status, reason: &str| Ok(Err((status, reason.to_owned())));
    let Some(reminder) = reminder else { return refuse(Status::Canceled, "the reminder was deleted") };
    if reminder.version != run.version {
        return refuse(Status::Canceled, "the reminder was edited");
    }
    let (Some(account), Some(status)) = (run.account, account) else {
        return refuse(Status::Failed, "the account was deleted");
    };
    if let Some(reason) = unable(status) {
        return refuse(Status::Failed, reason);
    }
    let tz: Tz = reminder.timezone.parse().unwrap_or(Tz::UTC);
    let end = reminder.window_end.and_then(|end| u8::try_from(end).ok());
    if !window::is_open(end, tz, run.fire_at, now) {
        return refuse(Status::Failed, "the delivery window had closed");
    }
    Ok(Ok((account, end.map(|end| window::closes_at(end, tz, run.fire_at)))))
}

/// Why an account can't send, unless it can or soon will.
fn unable(status: account::Status) -> Option<&'static str> {
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
    account: AccountId,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Expansion> {
    let targets = sqlx::query!(
        "SELECT position, chat FROM run_targets WHERE tenant_id = $1 AND run_id = $2 AND state = 'pending' ORDER BY position",
        run.tenant.0,
        id.0
    )
    .fetch_all(&mut *transaction)
    .await?;
    if targets.is_empty() || run.bodies.is_empty() {
        return drop_run(transaction, id, run, Status::Failed, "the reminder has no text or no target".to_owned())
            .await;
    }
    let (mut ids, mut positions, mut chats, mut bodies, mut whatsapp_ids) = (vec![], vec![], vec![], vec![], vec![]);
    for target in &targets {
        for body in &run.bodies {
            let mut entropy = [0; ID_ENTROPY];
            rand::rng().fill_bytes(&mut entropy);
            ids.push(MessageId::new().0);
            positions.push(target.position);
            chats.push(target.chat.clone());
            bodies.push(body.clone());
            whatsapp_ids.push(whatsapp_id(entropy));
        }
    }
    sqlx::query!(
        "INSERT INTO messages (id, tenant_id, account_id, run_id, run_position, chat, body, whatsapp_id, expires_at)
         SELECT m.id, $1, $2, $3, m.position, m.chat, m.body, m.whatsapp_id, $4
         FROM unnest($5::uuid[], $6::integer[], $7::text[], $8::text[], $9::text[])
              WITH ORDINALITY AS m (id, position, chat, body, whatsapp_id, place)
         ORDER BY m.place",
        run.tenant.0,
        account.0,
        id.0,
        expires_at,
        &ids as &[Uuid],
        &positions,
        &chats,
        &bodies,
        &whatsapp_ids
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("UPDATE runs SET status = 'running' WHERE id = $1", id.0).execute(transaction).await?;
    Ok(Expansion::Expanded { account, tenant: run.tenant, messages: ids.len() })
}

async fn drop_run(
    transaction: &mut PgConnection,
    id: RunId,
    run: &Run,
    status: Status,
    reason: String,
) -> Result<Expansion> {
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
    let data = serde_json::json!({"run_id": id, "reminder_id": run.reminder, "status": status, "summary": reason});
    let mut events = Events::default();
    events.push(run.tenant, run.account, RUN_CHANGED, data);
    events.write(transaction).await?;
    Ok(Expansion::Dropped { tenant: run.tenant, status, reason })
}
