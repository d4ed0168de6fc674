//! Writes the receipts of recipients' phones.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::written::{Written, correct};
use crate::batched::{Batch, answers};
use crate::error::Result;
use crate::fence::{Fence, Fences, fenced_each};
use crate::runs::correct::Which;
use crate::scope::Under;
use domain::event::Kind;
use domain::id::RunId;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{MessageOutcome, MessageStage};
use process::telemetry::trace::{self, Destination};

/// A receipt from a recipient's phone.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The WhatsApp id of the message.
    pub whatsapp_id: String,
    /// Whether the message was read, not only delivered.
    pub read: bool,
    /// The time by the phone's clock.
    pub at: DateTime<Utc>,
}

/// Moves messages to `delivered` or `read`, never back. In a group the first member's receipt counts. A receipt also
/// proves that the message was sent, even if its acknowledgement was lost, or if it was canceled, had expired or failed
/// meanwhile. Each state on the way gets an event. No time is set before that of the previous state, since phones
/// report whole seconds of their own clocks. Returns the affected runs, which must be settled.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn receipts(under: Under<'_>, receipts: Vec<Receipt>) -> Result<Vec<RunId>> {
    let Under { pool, batches, fence } = under;
    let step = trace::settle(Destination::Outbox).account(fence.account).kind("receipt").batch(receipts.len());
    let seen = batches.call::<Receipts>(fence, receipts).await;
    step.heard(&seen);
    let seen = seen?;
    step.follows_all(seen.written.traces.iter().map(String::as_str));
    // those that had failed or expired were counted before
    metrics::MESSAGES.of(MessageOutcome::Sent).inc_by(seen.left);
    for (stage, times) in [(MessageStage::Delivered, seen.delivered), (MessageStage::Read, seen.read)] {
        times.into_iter().for_each(|took| metrics::MESSAGE_STAGE_SECONDS.of(stage).observe_with_trace(took));
    }
    correct(pool, fence, &seen.written.over, Which::All).await;
    Ok(seen.written.runs.into_iter().map(RunId).collect())
}

/// What a statement says of the receipts of one account.
#[derive(Debug, Default)]
struct Seen {
    written: Written,
    /// How many messages left only by these receipts.
    left: f64,
    /// Seconds from leaving to each stage.
    delivered: Vec<f64>,
    read: Vec<f64>,
}

/// Receipts of many sessions, written in one statement.
struct Receipts;

impl Batch for Receipts {
    type Right = Fence;
    type Means = PgPool;
    type Call = Vec<Receipt>;
    type Done = Seen;

    const WHAT: &'static str = "receipts";

    fn rows(receipts: &Vec<Receipt>) -> usize {
        receipts.len()
    }

    async fn run(pool: &PgPool, calls: &[(Fence, Vec<Receipt>)]) -> Result<Vec<Result<Seen>>> {
        let receipts = || calls.iter().flat_map(|(fence, receipts)| receipts.iter().map(|one| (fence.account, one)));
        let accounts: Vec<Uuid> = receipts().map(|(account, _)| account.0).collect();
        let ids: Vec<String> = receipts().map(|(_, r)| r.whatsapp_id.clone()).collect();
        let read: Vec<bool> = receipts().map(|(_, r)| r.read).collect();
        let at: Vec<DateTime<Utc>> = receipts().map(|(_, r)| r.at).collect();
        let fences = Fences::of(calls);
        let rows = fenced_each!(
            query,
            fences,
            r#"
            r AS (
                SELECT account_id, whatsapp_id, bool_or(read) AS read, min(at) AS at, min(at) FILTER (WHERE read) AS read_at
                FROM unnest($3::uuid[], $4::text[], $5::bool[], $6::timestamptz[]) AS t(account_id, whatsapp_id, read, at)
                GROUP BY account_id, whatsapp_id
            ), old AS (
                SELECT m.id, m.account_id, m.state, m.state IN ('sent', 'delivered') AS had_left, r.read, r.read_at,
                    coalesce(m.delivered_at, greatest(r.at, s.sent_at)) AS delivered_at, s.sent_at
                FROM r JOIN f ON f.account_id = r.account_id
                    JOIN messages m ON m.account_id = r.account_id AND m.whatsapp_id = r.whatsapp_id
                    CROSS JOIN LATERAL (
                        SELECT coalesce(m.sent_at, greatest(m.created_at, least(now(), r.at))) AS sent_at) s
                WHERE m.state <> 'read' ORDER BY m.seq FOR UPDATE OF m
            ), m AS (
                UPDATE messages m SET
                    state = CASE WHEN old.read THEN 'read' ELSE 'delivered' END,
                    reason = NULL, failed_at = NULL,
                    attempts = greatest(m.attempts, 1),
                    sent_at = old.sent_at,
                    delivered_at = old.delivered_at,
                    read_at = CASE WHEN old.read THEN greatest(old.read_at, old.delivered_at) END
                FROM old
                WHERE m.id = old.id AND m.account_id = old.account_id AND (old.state <> 'delivered' OR old.read)
                RETURNING m.id, m.tenant_id, m.account_id, m.seq, m.run_id, m.trace, old.state AS was, old.had_left, old.read,
                    extract(epoch FROM now() - m.sent_at)::float8 AS took
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, account_id, k.kind, jsonb_build_object('account_id', account_id,
                    'message_id', id, 'state', k.state, 'reason', NULL), trace)::new_event ORDER BY m.seq, k.n)) AS written
                FROM m CROSS JOIN LATERAL (VALUES (1, $7::text, 'sent', NOT had_left), (2, $8, 'delivered', was <> 'delivered'),
                    (3, $9, 'read', read)) AS k(n, kind, state, holds)
                WHERE k.holds
            ), by_account AS (
                SELECT account_id,
                       array_agg(DISTINCT trace::text) FILTER (WHERE trace IS NOT NULL) AS traces,
                       array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND NOT had_left) AS runs,
                       array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND NOT had_left AND was <> 'queued') AS over,
                       count(*) FILTER (WHERE was IN ('queued', 'canceled'))::float8 AS left_now,
                       array_agg(took) FILTER (WHERE was <> 'delivered') AS delivered,
                       array_agg(took) FILTER (WHERE read) AS read
                FROM m GROUP BY account_id
            )
            SELECT f.account_id, (SELECT written FROM told), coalesce(b.traces, '{}') AS "traces!", coalesce(b.runs, '{}') AS "runs!",
                   coalesce(b.over, '{}') AS "over!", coalesce(b.left_now, 0) AS "left!",
                   coalesce(b.delivered, '{}') AS "delivered!", coalesce(b.read, '{}') AS "read!"
            FROM f LEFT JOIN by_account b ON b.account_id = f.account_id
            "#,
            &accounts,
            &ids,
            &read,
            &at,
            Kind::MessageSent.as_str(),
            Kind::MessageDelivered.as_str(),
            Kind::MessageRead.as_str()
        )
        .fetch_all(pool)
        .await?;
        let found = rows.into_iter().map(|row| {
            let written = Written { runs: row.runs, over: row.over, traces: row.traces };
            (row.account_id, Seen { written, left: row.left, delivered: row.delivered, read: row.read })
        });
        Ok(answers(calls, found.collect()))
    }
}
