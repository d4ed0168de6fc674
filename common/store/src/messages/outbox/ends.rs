//! Writes the results of messages: acknowledged by WhatsApp's server, or failed.

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::written::{Written, correct};
use crate::batched::{Batch, answers};
use crate::error::Result;
use crate::fence::{Fence, Fences, fenced_each};
use crate::runs::correct::Which;
use crate::scope::Under;
use domain::event::{Event, MessageChanged};
use domain::id::{AccountId, MessageId, RunId};
use domain::message::State;
use process::telemetry::trace::{self, Destination};

/// The result of a message: `sent` when the server has acknowledged it, or `failed` with a reason for a person.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The message.
    pub id: MessageId,
    /// How often it has been handed over.
    pub attempts: i32,
    /// `None` if it was acknowledged; otherwise the reason of the failure.
    pub failure: Option<String>,
}

impl Outcome {
    /// The event about the result.
    fn event(&self, account_id: AccountId) -> Event {
        let changed = |state| MessageChanged { account_id, message_id: self.id, state, reason: self.failure.clone() };
        match self.failure {
            None => Event::MessageSent(changed(State::Sent)),
            Some(_) => Event::MessageFailed(changed(State::Failed)),
        }
    }
}

/// Writes the results of a batch of messages, with their events, in one statement. Returns the affected runs, which
/// must be settled. A message that a receipt has moved on already does not change. An acknowledgement also counts if
/// the message has expired or was canceled meanwhile: it was sent. Finished runs whose messages turn out differently
/// are corrected.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails. In both cases nothing was written.
pub async fn finish(under: Under<'_>, outcomes: Vec<Outcome>) -> Result<Vec<RunId>> {
    let Under { pool, batches, fence } = under;
    let step = trace::settle(Destination::Outbox).account(fence.account).batch(outcomes.len());
    let written = batches.call::<Ends>(fence, outcomes).await;
    step.heard(&written);
    let written = written?;
    step.follows_all(written.traces.iter().map(String::as_str));
    correct(pool, fence, &written.over, Which::Over).await;
    Ok(written.runs.into_iter().map(RunId).collect())
}

/// Results of the messages of many sessions, written in one statement.
struct Ends;

impl Batch for Ends {
    type Right = Fence;
    type Means = PgPool;
    type Call = Vec<Outcome>;
    type Done = Written;

    const WHAT: &'static str = "results of messages";

    fn rows(outcomes: &Vec<Outcome>) -> usize {
        outcomes.len()
    }

    async fn run(pool: &PgPool, calls: &[(Fence, Vec<Outcome>)]) -> Result<Vec<Result<Written>>> {
        let outcomes = || calls.iter().flat_map(|(fence, outcomes)| outcomes.iter().map(|one| (fence.account, one)));
        let accounts: Vec<Uuid> = outcomes().map(|(account, _)| account.0).collect();
        let ids: Vec<Uuid> = outcomes().map(|(_, o)| o.id.0).collect();
        let failures: Vec<Option<String>> = outcomes().map(|(_, o)| o.failure.clone()).collect();
        let attempts: Vec<i32> = outcomes().map(|(_, o)| o.attempts).collect();
        let told = outcomes().map(|(account, o)| o.event(account));
        let (kinds, data): (Vec<&str>, Vec<Value>) = told.map(|event| (event.kind().as_str(), event.data())).unzip();
        let fences = Fences::of(calls);
        let rows = fenced_each!(
            query,
            fences,
            r#"
            o AS (
                SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::int[], $7::text[], $8::jsonb[])
                    AS t(account_id, id, failure, attempts, kind, data)
            ), old AS (
                SELECT m.id, m.account_id, m.seq, m.state, o.failure, o.attempts, o.kind, o.data
                FROM o JOIN f ON f.account_id = o.account_id JOIN messages m ON m.id = o.id AND m.account_id = o.account_id
                WHERE m.state = 'queued' OR (m.state IN ('expired', 'canceled') AND o.failure IS NULL)
                ORDER BY m.seq FOR UPDATE OF m
            ), m AS (
                UPDATE messages m SET
                    state = CASE WHEN o.failure IS NULL THEN 'sent' ELSE 'failed' END,
                    reason = o.failure,
                    attempts = greatest(m.attempts, o.attempts),
                    sent_at = CASE WHEN o.failure IS NULL THEN now() ELSE m.sent_at END,
                    failed_at = CASE WHEN o.failure IS NULL THEN NULL ELSE now() END
                FROM old o WHERE m.id = o.id AND m.account_id = o.account_id
                RETURNING m.tenant_id, m.account_id, m.seq, m.state, m.run_id, m.trace, o.state AS was, o.kind, o.data
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, account_id, kind, data, trace)::new_event ORDER BY seq)) AS written FROM m
            ), by_account AS (
                SELECT account_id,
                       array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL) AS runs,
                       array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND (was = 'canceled' OR (state = 'failed'
                           AND EXISTS (SELECT FROM runs r WHERE r.id = m.run_id AND r.finished_at IS NOT NULL)))) AS over,
                       array_agg(DISTINCT trace::text) FILTER (WHERE trace IS NOT NULL) AS traces
                FROM m GROUP BY account_id
            )
            SELECT f.account_id, (SELECT written FROM told), coalesce(b.runs, '{}') AS "runs!", coalesce(b.over, '{}') AS "over!",
                   coalesce(b.traces, '{}') AS "traces!"
            FROM f LEFT JOIN by_account b ON b.account_id = f.account_id
            "#,
            &accounts,
            &ids,
            &failures as &[Option<String>],
            &attempts,
            &kinds as &[&str],
            &data
        )
        .fetch_all(pool)
        .await?;
        let found = rows
            .into_iter()
            .map(|row| (row.account_id, Written { runs: row.runs, over: row.over, traces: row.traces }));
        Ok(answers(calls, found.collect()))
    }
}
