//! Accounts of all tenants whose owner is not alive any more. For the scheduler.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::{self, Entry, Operator};
use crate::error::Result;
use crate::events::Events;
use crate::scope::ForAllTenants;
use crate::{credentials, leases};
use domain::account::Status;
use domain::account::life::{Event, State, Wanted, decide};
use domain::committed::Committed;
use domain::event::{self, AccountStatusChanged};
use domain::id::{AccountId, TenantId};

/// The reason that is given for the end of an abandoned pairing.
const ABANDONED: &str = "the pairing was abandoned";

/// Ends pairings whose window ended more than `age` ago and whose account has no live owner. The accounts become
/// `unpaired`; none is deleted. A higher epoch fences a worker that still holds one. Returns their tenants.
///
/// # Errors
/// If the database fails.
pub async fn park_stale_pairings(
    all: ForAllTenants<'_>,
    age: Duration,
    limit: i64,
) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    let stale = sqlx::query_scalar!(
        "SELECT l.account_id FROM leases l JOIN accounts a ON a.id = l.account_id JOIN pairings p ON p.account_id = a.id
            LEFT JOIN workers w ON w.id = l.owner
         WHERE a.wanted <> 'erased' AND p.window_ends_at < now() - make_interval(secs => $1)
           AND is_alive(w) IS NOT TRUE
         ORDER BY l.account_id LIMIT $2 FOR UPDATE OF l SKIP LOCKED",
        age.as_secs_f64(),
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    // check again under the lock, because a new pairing may have begun
    let stale = sqlx::query_as!(
        Neglected,
        r#"
        SELECT a.id AS "id: AccountId", a.tenant_id AS "tenant: TenantId", a.label, a.status AS "status: Status",
               a.wanted AS "wanted: Wanted", $3::text AS reason
        FROM accounts a JOIN pairings p ON p.account_id = a.id
        WHERE a.id = ANY($1) AND p.window_ends_at < now() - make_interval(secs => $2)
        ORDER BY a.id FOR NO KEY UPDATE OF a, p
        "#,
        &stale,
        age.as_secs_f64(),
        ABANDONED
    )
    .fetch_all(&mut *transaction)
    .await?;
    let parked = decided(stale, Event::Abandoned)?;
    write(&mut transaction, &parked, 1).await?;
    let ids: Vec<Uuid> = parked.iter().map(|(row, _)| row.id.0).collect();
    leases::own::take_away(&mut transaction, &ids).await?;
    credentials::forget_all(&mut transaction, &ids).await?;
    tell(&mut transaction, &parked).await?;
    let operator = Operator::System("scheduler");
    let entries: Vec<Entry<'_>> = parked
        .iter()
        .map(|(row, _)| Entry::of_account((row.tenant, row.id), &row.label, operator, "pair").ended("abandoned"))
        .collect();
    audit::record_all(&mut transaction, &entries).await;
    transaction.commit().await?;
    Ok(Committed::news_of(parked.into_iter().map(|(row, _)| row.tenant).collect()))
}

/// Makes accounts `disconnected` that are `connected` without a live owner, with a reason and an event. Accounts that a
/// worker has claimed meanwhile are left out. Returns their tenants.
///
/// # Errors
/// If the database fails.
pub async fn tell_lost_sessions(all: ForAllTenants<'_>, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
    let mut transaction = db.begin().await?;
    // starts from leases without a live owner, so that it costs nothing if there are none; OFFSET makes the second step
    // a lookup
    let lost = sqlx::query_scalar!(
        "SELECT l.account_id FROM leases l
         WHERE l.account_id IN (
             SELECT free.account_id
             FROM (
                 SELECT account_id FROM leases WHERE owner IS NULL
                 UNION ALL
                 SELECT account_id FROM leases WHERE owner = ANY (ARRAY(SELECT id FROM workers w WHERE NOT is_alive(w)))
             ) free
             JOIN LATERAL (SELECT FROM accounts WHERE id = free.account_id AND status = 'connected' OFFSET 0) a ON true)
         ORDER BY l.account_id LIMIT $1 FOR UPDATE OF l SKIP LOCKED",
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    // check again under the lock, because a worker may have claimed the account in between
    let lost = sqlx::query_as!(
        Neglected,
        r#"
        SELECT a.id AS "id: AccountId", a.tenant_id AS "tenant: TenantId", a.label, a.status AS "status: Status",
               a.wanted AS "wanted: Wanted", s.status_reason AS reason
        FROM accounts a JOIN account_states s ON s.id = a.id
        WHERE a.id = ANY($1) AND s.status <> a.status
        ORDER BY a.id FOR NO KEY UPDATE OF a
        "#,
        &lost
    )
    .fetch_all(&mut *transaction)
    .await?;
    let told = decided(lost, Event::Lost)?;
    write(&mut transaction, &told, 0).await?;
    tell(&mut transaction, &told).await?;
    transaction.commit().await?;
    Ok(Committed::news_of(told.into_iter().map(|(row, _)| row.tenant).collect()))
}

/// An account without a live owner.
struct Neglected {
    id: AccountId,
    tenant: TenantId,
    label: String,
    status: Status,
    wanted: Wanted,
    /// The reason for the new status.
    reason: Option<String>,
}

/// Returns the rows that the event changes, each with its new state.
fn decided(found: Vec<Neglected>, event: Event) -> Result<Vec<(Neglected, State)>> {
    let mut changed = Vec::with_capacity(found.len());
    for row in found {
        if let Some(after) = decide(State { status: row.status, wanted: row.wanted }, event)?.state() {
            changed.push((row, after));
        }
    }
    Ok(changed)
}

/// Writes the new states, and ends the connections of accounts that were `connected`. Adds `generations` to each
/// generation.
async fn write(transaction: &mut PgConnection, changed: &[(Neglected, State)], generations: i64) -> Result<()> {
    let ids: Vec<Uuid> = changed.iter().map(|(row, _)| row.id.0).collect();
    let statuses: Vec<String> = changed.iter().map(|(_, after)| after.status.as_str().to_owned()).collect();
    let wanted: Vec<String> = changed.iter().map(|(_, after)| after.wanted.as_str().to_owned()).collect();
    let reasons: Vec<Option<String>> = changed.iter().map(|(row, _)| row.reason.clone()).collect();
    let open: Vec<bool> = changed.iter().map(|(row, _)| row.status == Status::Connected).collect();
    sqlx::query!(
        "UPDATE accounts a SET status = w.status, status_reason = w.reason, wanted = w.wanted, generation = generation + $5,
            disconnected_at = CASE WHEN w.open THEN now() ELSE disconnected_at END, updated_at = now()
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $6::bool[]) AS w(id, status, wanted, reason, open)
         WHERE a.id = w.id",
        &ids,
        &statuses,
        &wanted,
        &reasons as &[Option<String>],
        generations,
        &open
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Writes the events of the changes.
async fn tell(transaction: &mut PgConnection, changed: &[(Neglected, State)]) -> Result<()> {
    let mut events = Events::default();
    for (row, after) in changed {
        let (account_id, reason) = (row.id, row.reason.clone());
        let told = AccountStatusChanged { account_id, status: after.status, previous: row.status, reason };
        events.push_of(None, row.tenant, Some(row.id), &event::Event::AccountStatusChanged(told));
    }
    events.write(transaction).await
}
