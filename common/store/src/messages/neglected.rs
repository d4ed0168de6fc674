//! Ends messages of all tenants that no session would end. For the scheduler.

use std::time::Duration;

use domain::committed::Committed;
use domain::event::Kind;
use domain::id::TenantId;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{FailReason, MessageOutcome};
use sqlx::PgPool;
use uuid::Uuid;

use crate::error::Result;
use crate::runs::correct::{self, Which};
use crate::scope::ForAllTenants;

/// The reason of an expired message.
const EXPIRED: &str = "not sent before expires_at";

/// Ends queued messages whose `expires_at` passed more than `age` ago. Sessions stop sending at `expires_at`; `age`
/// leaves time for late acknowledgements. Returns their tenants.
///
/// # Errors
/// If the database fails.
pub async fn expire_messages(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
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
    correct_over(db, tenants.iter().flat_map(|row| row.runs.clone())).await;
    Ok(Committed::news_of(tenants.into_iter().map(|row| row.tenant).collect()))
}

/// Ends queued messages of runs whose account has had no phone for `age`. An account that its phone logged out gets at
/// least the catch-up time of its reminder (an hour if the reminder is deleted), since the same phone may be linked
/// again and continue. Without this, a run that nobody can send would never end and would block the next one. Messages
/// outside of runs wait for a phone instead. Returns their tenants.
///
/// # Errors
/// If the database fails.
pub async fn strand_runs(all: ForAllTenants<'_>, age: Duration, limit: i64) -> Result<Committed<Vec<TenantId>>> {
    let ForAllTenants { pool: db } = all;
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
    correct_over(db, tenants.iter().flat_map(|row| row.runs.clone())).await;
    Ok(Committed::news_of(tenants.into_iter().map(|row| row.tenant).collect()))
}

/// Corrects finished runs with a text that counted as sent, because it had been handed over, and was not.
async fn correct_over(db: &PgPool, runs: impl Iterator<Item = Uuid>) {
    if let Err(error) = correct::correct(db, &runs.collect::<Vec<_>>(), Which::Over).await {
        tracing::warn!(%error, "runs that are over could not be corrected");
    }
}
