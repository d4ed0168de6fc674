//! Rows whose owner is gone and that nobody else would bring to an end, of all tenants: for the scheduler.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::events::Events;
use super::{Result, due};
use domain::account::Status;
use domain::event::{AccountStatusChanged, Event, Kind};
use domain::id::{AccountId, TenantId};
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{FailReason, MessageOutcome};

/// Why a pairing ends that nobody has.
const ABANDONED: &str = "the pairing was abandoned";
/// Why a message is not sent whose time is over.
const EXPIRED: &str = "not sent before expires_at";

/// Parks pairings that began more than `age` ago and have no live owner: `unpaired` again, never deleted (R20). Whoever still
/// holds the account is fenced by a higher epoch. Answers whose they are, for the bus.
///
/// # Errors
/// When the database does not do it.
pub async fn park_stale_pairings(db: &PgPool, age: Duration, limit: i64) -> Result<Vec<TenantId>> {
    let mut transaction = db.begin().await?;
    let stale = sqlx::query_scalar!(
        "SELECT l.account_id FROM leases l JOIN accounts a ON a.id = l.account_id LEFT JOIN workers w ON w.id = l.owner
         WHERE a.status = 'pending' AND a.wanted <> 'erased'
           AND a.pairing_expires_at < now() - make_interval(secs => $1)
           AND is_alive(w) IS NOT TRUE
         ORDER BY l.account_id LIMIT $2 FOR UPDATE OF l SKIP LOCKED",
        age.as_secs_f64(),
        limit
    )
    .fetch_all(&mut *transaction)
    .await?;
    let parked = sqlx::query!(
        r#"
        UPDATE accounts SET status = 'unpaired', status_reason = $3, wanted = 'offline',
               generation = generation + 1, pairing_method = NULL,
               pairing_phone = NULL, pairing_expires_at = NULL, qr_text = NULL, qr_number = NULL, qr_expires_at = NULL,
               pairing_code = NULL, updated_at = now()
        -- asked again: a new pairing may have begun since
        WHERE id = ANY($1) AND status = 'pending' AND wanted <> 'erased'
          AND pairing_expires_at < now() - make_interval(secs => $2)
        RETURNING id, tenant_id AS "tenant: TenantId", label
        "#,
        &stale,
        age.as_secs_f64(),
        ABANDONED
    )
    .fetch_all(&mut *transaction)
    .await?;
    let (ids, tenants): (Vec<Uuid>, Vec<Uuid>) = parked.iter().map(|row| (row.id, row.tenant.0)).unzip();
    sqlx::query!("UPDATE leases SET epoch = epoch + 1, owner = NULL WHERE account_id = ANY($1)", &ids)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("DELETE FROM credentials WHERE account_id = ANY($1)", &ids).execute(&mut *transaction).await?;
    let labels: Vec<String> = parked.iter().map(|row| row.label.clone()).collect();
    let audits: Vec<Uuid> = parked.iter().map(|_| Uuid::now_v7()).collect();
    let mut events = Events::default();
    for row in &parked {
        let parked = AccountStatusChanged {
            account_id: AccountId(row.id),
            status: Status::Unpaired,
            previous: Status::Pending,
            reason: Some(ABANDONED.to_owned()),
        };
        events.push_of(None, row.tenant, Some(parked.account_id), &Event::AccountStatusChanged(parked));
    }
    events.write(&mut transaction).await?;
    sqlx::query!(
        "INSERT INTO audit (id, tenant_id, account_id, account_label, operator, action, outcome)
         SELECT audit, tenant, account, label, 'system:scheduler', 'pair', 'abandoned'
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS p (account, tenant, label, audit)",
        &ids,
        &tenants,
        &labels,
        &audits
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(parked.into_iter().map(|row| row.tenant).collect())
}

/// How long a worker that lives may take from one heartbeat to the next: a third of its lease's life, of the worker with the
/// longest; without any worker the usual five seconds.
///
/// # Errors
/// When the database does not answer.
pub async fn longest_heartbeat(db: &PgPool) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"SELECT coalesce(max(lease_s), 15) / 3 AS "seconds!" FROM workers WHERE stopped_at IS NULL"#
    );
    Ok(Duration::try_from_secs_f64(seconds.fetch_one(db).await?).unwrap_or_default())
}

/// Tells of accounts that say `connected` and whose lease is no living worker's: they become `disconnected`, with a reason and
/// an event (R90). Whoever holds their lease by then is left alone. Answers whose they are, for the bus.
///
/// # Errors
/// When the database does not do it.
pub async fn tell_lost_sessions(db: &PgPool, limit: i64) -> Result<Vec<TenantId>> {
    let mut transaction = db.begin().await?;
    // from the leases without an owner, so that a look costs nothing where all is well; OFFSET keeps the second step a lookup
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
    let told = sqlx::query!(
        r#"
        WITH lost AS (
            -- asked again: a worker may have claimed it between the look and the lock
            SELECT a.id, s.status, s.status_reason FROM accounts a JOIN account_states s ON s.id = a.id
            WHERE a.id = ANY($1) AND a.status = 'connected' AND s.status <> 'connected'
            ORDER BY a.id FOR UPDATE OF a
        )
        UPDATE accounts a SET status = lost.status, status_reason = lost.status_reason, disconnected_at = now(),
            updated_at = now()
        FROM lost WHERE a.id = lost.id
        RETURNING a.id AS "id: AccountId", a.tenant_id AS "tenant: TenantId", a.status AS "status: Status", a.status_reason
        "#,
        &lost
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut events = Events::default();
    for row in &told {
        let lost = AccountStatusChanged {
            account_id: row.id,
            status: row.status,
            previous: Status::Connected,
            reason: row.status_reason.clone(),
        };
        events.push_of(None, row.tenant, Some(row.id), &Event::AccountStatusChanged(lost));
    }
    events.write(&mut transaction).await?;
    transaction.commit().await?;
    Ok(told.into_iter().map(|row| row.tenant).collect())
}

/// Ends queued messages whose `expires_at` passed more than `age` ago. A session does not send them since; what it sent
/// before has been acknowledged by then, or nobody knows. Answers whose they are, for the bus.
///
/// # Errors
/// When the database does not do it.
pub async fn expire_messages(db: &PgPool, age: Duration, limit: i64) -> Result<Vec<TenantId>> {
    let tenants = sqlx::query!(
        r#"
        WITH m AS (
            UPDATE messages SET state = 'expired', reason = $3, failed_at = now()
            WHERE state = 'queued' AND id IN (
                SELECT id FROM messages
                WHERE state = 'queued' AND expires_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED)
            RETURNING id, tenant_id, account_id, run_id, state, reason, trace
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, account_id, $4::text, jsonb_build_object('account_id', account_id,
                'message_id', id, 'state', state, 'reason', reason), trace)::new_event)) AS written FROM m
        )
        SELECT tenant_id AS "tenant: TenantId", count(*)::float8 AS "messages!",
               coalesce(array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL), '{}') AS "runs!: Vec<Uuid>",
               (SELECT written FROM told)
        FROM m GROUP BY tenant_id
        "#,
        age.as_secs_f64(),
        limit,
        EXPIRED,
        Kind::MessageExpired.as_str()
    )
    .fetch_all(db)
    .await?;
    metrics::MESSAGES.of(MessageOutcome::Expired).inc_by(tenants.iter().map(|row| row.messages).sum());
    correct(db, tenants.iter().flat_map(|row| row.runs.clone())).await;
    Ok(tenants.into_iter().map(|row| row.tenant).collect())
}

/// Ends queued messages of runs whose account has had no phone for `age`, or was logged out by it for as long as its reminder
/// catches up (an hour, where that is gone): until then the same phone may be linked again, and gets on with them (R73). A run that
/// nobody can send would never be over, and would stand in the way of the next one for ever. Messages that were sent by request wait
/// for a phone instead.
/// Answers whose they are, for the bus.
///
/// # Errors
/// When the database does not do it.
pub async fn strand_runs(db: &PgPool, age: Duration, limit: i64) -> Result<Vec<TenantId>> {
    let tenants = sqlx::query!(
        r#"
        WITH m AS (
            UPDATE messages m SET state = 'failed', failed_at = now(), reason = CASE w.status
                WHEN 'logged_out' THEN 'the account was logged out by its phone' ELSE 'the account is not paired' END
            FROM (SELECT q.id, a.status FROM accounts a JOIN messages q ON q.account_id = a.id
                  LEFT JOIN runs r ON r.id = q.run_id LEFT JOIN reminders d ON d.id = r.reminder_id
                  WHERE a.status IN ('unpaired', 'logged_out') AND q.state = 'queued' AND q.run_id IS NOT NULL
                    AND a.updated_at < now() - make_interval(secs => CASE a.status
                        WHEN 'logged_out' THEN greatest($1::float8, coalesce(d.catchup_window_s, 3600)) ELSE $1 END)
                  ORDER BY q.id LIMIT $2 FOR UPDATE OF q SKIP LOCKED) w
            WHERE m.id = w.id AND m.state = 'queued'
            RETURNING m.id, m.tenant_id, m.account_id, m.run_id, m.state, m.reason, m.trace, w.status
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, account_id, $3::text, jsonb_build_object('account_id', account_id,
                'message_id', id, 'state', state, 'reason', reason), trace)::new_event)) AS written FROM m
        )
        SELECT tenant_id AS "tenant: TenantId", count(*)::float8 AS "messages!",
               count(*) FILTER (WHERE status = 'logged_out')::float8 AS "logged_out!",
               array_agg(DISTINCT run_id) AS "runs!: Vec<Uuid>", (SELECT written FROM told)
        FROM m GROUP BY tenant_id
        "#,
        age.as_secs_f64(),
        limit,
        Kind::MessageFailed.as_str()
    )
    .fetch_all(db)
    .await?;
    for row in &tenants {
        metrics::MESSAGES.of(MessageOutcome::Failed).inc_by(row.messages);
        metrics::MESSAGES_FAILED.of(FailReason::LoggedOut).inc_by(row.logged_out);
        metrics::MESSAGES_FAILED.of(FailReason::Unpaired).inc_by(row.messages - row.logged_out);
    }
    correct(db, tenants.iter().flat_map(|row| row.runs.clone())).await;
    Ok(tenants.into_iter().map(|row| row.tenant).collect())
}

/// Corrects runs that are over, of which a text counted as sent, since it had been handed over, and was not (R83).
async fn correct(db: &PgPool, runs: impl Iterator<Item = Uuid>) {
    if let Err(error) = due::correct(db, &runs.collect::<Vec<_>>(), due::Which::Over).await {
        tracing::warn!(%error, "runs that are over could not be corrected");
    }
}
