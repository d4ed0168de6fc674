//! SQL of the outbox: the messages that a session still has to send, and their results. Reads need no fence, every
//! write has one.

use crate::fence::{self, Fence, fenced};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::error::{Error, Result};
use crate::runs::correct::{self, Which};
use crate::scope::Under;
use domain::event::{Event, Kind, MessageChanged};
use domain::id::{AccountId, MessageId, RunId};
use domain::message::State;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{MessageOutcome, MessageStage};
use process::telemetry::trace::{self, Destination};

/// A queued message.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The id of its row.
    pub id: MessageId,
    /// Its position in the account's order.
    pub seq: i64,
    /// The canonical JID of the chat.
    pub chat: String,
    /// The text.
    pub body: String,
    /// The WhatsApp id, the same for every attempt.
    pub whatsapp_id: String,
    /// How often it was handed over before.
    pub attempts: i32,
    /// The run that it belongs to, if a reminder created it.
    pub run: Option<RunId>,
    /// Its age when it was read, in seconds, by the database's clock.
    pub age_s: f64,
    /// Seconds until it must not be sent any more, by the database's clock when it was read; `None`: no limit.
    pub expires_in_s: Option<f64>,
    /// The W3C `traceparent` of the trace that it belongs to.
    pub trace: Option<String>,
}

/// The account's oldest queued messages, in order. Messages to `busy` chats, expired ones, and those accepted for
/// another phone are left out. A deleted account has none.
///
/// # Errors
/// If the database fails.
pub async fn waiting(under: Under<'_>, busy: &[String], limit: i64) -> Result<Vec<Waiting>> {
    let Under { pool, fence: Fence { account, .. } } = under;
    let rows = sqlx::query_as!(
        Waiting,
        r#"
        SELECT id AS "id: MessageId", seq, chat, body, whatsapp_id, attempts, run_id AS "run: RunId",
               extract(epoch FROM clock_timestamp() - created_at)::float8 AS "age_s!",
               extract(epoch FROM expires_at - clock_timestamp())::float8 AS expires_in_s, trace
        FROM messages
        WHERE account_id = $1 AND state = 'queued' AND chat <> ALL($2) AND (expires_at IS NULL OR expires_at > now())
          AND EXISTS (SELECT FROM accounts a WHERE a.id = $1 AND a.wanted NOT IN ('erased', 'unlinked') AND (sender IS NULL OR sender = a.phone_number))
        ORDER BY seq
        LIMIT $3
        "#,
        account.0,
        busy,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

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
pub async fn finish(under: Under<'_>, outcomes: &[Outcome]) -> Result<Vec<RunId>> {
    let Under { pool, fence } = under;
    let step = trace::settle(Destination::Outbox).account(fence.account).batch(outcomes.len());
    let finished = write_ends(pool, fence, outcomes, &step).await;
    step.heard(&finished);
    finished
}

async fn write_ends(pool: &PgPool, fence: Fence, outcomes: &[Outcome], step: &trace::Step) -> Result<Vec<RunId>> {
    let ids: Vec<uuid::Uuid> = outcomes.iter().map(|o| o.id.0).collect();
    let failures: Vec<Option<String>> = outcomes.iter().map(|o| o.failure.clone()).collect();
    let attempts: Vec<i32> = outcomes.iter().map(|o| o.attempts).collect();
    let told = outcomes.iter().map(|outcome| outcome.event(fence.account));
    let (kinds, data): (Vec<&str>, Vec<Value>) = told.map(|event| (event.kind().as_str(), event.data())).unzip();
    let row = fenced!(
        query,
        fence,
        r#"
        o AS (SELECT * FROM unnest($3::uuid[], $4::text[], $5::int[], $6::text[], $7::jsonb[]) AS t(id, failure, attempts, kind, data)),
        old AS (
            SELECT m.id, m.seq, m.state, o.failure, o.attempts, o.kind, o.data FROM messages m JOIN f ON m.account_id = f.account_id JOIN o ON m.id = o.id
            WHERE m.state = 'queued' OR (m.state IN ('expired', 'canceled') AND o.failure IS NULL)
            ORDER BY m.seq FOR UPDATE OF m
        ), m AS (
            UPDATE messages m SET
                state = CASE WHEN o.failure IS NULL THEN 'sent' ELSE 'failed' END,
                reason = o.failure,
                attempts = greatest(m.attempts, o.attempts),
                sent_at = CASE WHEN o.failure IS NULL THEN now() ELSE m.sent_at END,
                failed_at = CASE WHEN o.failure IS NULL THEN NULL ELSE now() END
            FROM old o WHERE m.id = o.id AND m.account_id = $1
            RETURNING m.tenant_id, m.account_id, m.seq, m.state, m.run_id, m.trace, o.state AS was, o.kind, o.data
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, account_id, kind, data, trace)::new_event ORDER BY seq)) AS written FROM m
        )
        SELECT (SELECT count(*) FROM f) AS "held!", (SELECT written FROM told),
               (SELECT coalesce(array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL), '{}') FROM m) AS "runs!: Vec<uuid::Uuid>",
               (SELECT coalesce(array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND (was = 'canceled' OR (state = 'failed'
                        AND EXISTS (SELECT FROM runs r WHERE r.id = m.run_id AND r.finished_at IS NOT NULL)))), '{}')
                FROM m) AS "over!: Vec<uuid::Uuid>",
               (SELECT coalesce(array_agg(DISTINCT trace::text) FILTER (WHERE trace IS NOT NULL), '{}') FROM m) AS "traces!: Vec<String>"
        "#,
        &ids,
        &failures as &[Option<String>],
        &attempts,
        &kinds as &[&str],
        &data
    )
    .fetch_one(pool)
    .await?;
    fence::held(row.held)?;
    step.follows_all(row.traces.iter().map(String::as_str));
    correct(pool, fence, &row.over, Which::Over).await;
    Ok(row.runs.into_iter().map(RunId).collect())
}

/// Records hand-overs that were not acknowledged: how often each message has been handed over. A second call changes
/// nothing.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn count_attempts(under: Under<'_>, attempts: &[(MessageId, i32)]) -> Result<()> {
    let Under { pool, fence } = under;
    let (ids, counts): (Vec<uuid::Uuid>, Vec<i32>) = attempts.iter().map(|(id, count)| (id.0, *count)).unzip();
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        w AS (
            SELECT m.id, t.count FROM messages m JOIN f ON m.account_id = f.account_id
                JOIN unnest($3::uuid[], $4::int[]) AS t(id, count) ON m.id = t.id
            WHERE m.attempts < t.count ORDER BY m.seq FOR UPDATE OF m
        ), m AS (UPDATE messages m SET attempts = w.count FROM w WHERE m.id = w.id)
        SELECT count(*) AS "held!" FROM f
        "#,
        &ids,
        &counts
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}

/// How often a message of the account was blamed for the end of a connection.
///
/// # Errors
/// If the database fails.
pub async fn blamed(under: Under<'_>, message: MessageId) -> Result<i32> {
    let Under { pool, fence: Fence { account, .. } } = under;
    let blamed =
        sqlx::query_scalar!("SELECT blamed FROM messages WHERE account_id = $1 AND id = $2", account.0, message.0)
            .fetch_optional(pool)
            .await?;
    Ok(blamed.unwrap_or(0))
}

/// Blames a message for the end of a connection that has no other explanation. `before` is how often it was blamed
/// before, so that a second call does not count twice. Returns how often it was blamed; 0 if it is no longer queued.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn blame(under: Under<'_>, message: MessageId, before: i32) -> Result<i32> {
    let Under { pool, fence } = under;
    let row = fenced!(
        query,
        fence,
        r#"
        m AS (
            UPDATE messages m SET blamed = greatest(m.blamed, $4 + 1) FROM f
            WHERE m.id = $3 AND m.account_id = f.account_id AND m.state = 'queued' RETURNING m.blamed
        )
        SELECT (SELECT count(*) FROM f) AS "held!", coalesce((SELECT blamed FROM m), 0) AS "blamed!"
        "#,
        message.0,
        before
    )
    .fetch_one(pool)
    .await?;
    fence::held(row.held)?;
    Ok(row.blamed)
}

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
pub async fn receipts(under: Under<'_>, receipts: &[Receipt]) -> Result<Vec<RunId>> {
    let Under { pool, fence } = under;
    let ids: Vec<String> = receipts.iter().map(|r| r.whatsapp_id.clone()).collect();
    let read: Vec<bool> = receipts.iter().map(|r| r.read).collect();
    let at: Vec<DateTime<Utc>> = receipts.iter().map(|r| r.at).collect();
    let step = trace::settle(Destination::Outbox).account(fence.account).kind("receipt").batch(receipts.len());
    let row = fenced!(
        query,
        fence,
        r#"
        r AS (
            SELECT whatsapp_id, bool_or(read) AS read, min(at) AS at, min(at) FILTER (WHERE read) AS read_at
            FROM unnest($3::text[], $4::bool[], $5::timestamptz[]) AS t(whatsapp_id, read, at) GROUP BY whatsapp_id
        ), old AS (
            SELECT m.id, m.state, m.state IN ('sent', 'delivered') AS had_left, r.read, r.read_at,
                coalesce(m.delivered_at, greatest(r.at, s.sent_at)) AS delivered_at, s.sent_at
            FROM messages m JOIN f ON m.account_id = f.account_id JOIN r ON m.whatsapp_id = r.whatsapp_id
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
            WHERE m.id = old.id AND m.account_id = $1 AND (old.state <> 'delivered' OR old.read)
            RETURNING m.id, m.tenant_id, m.account_id, m.seq, m.run_id, m.trace, old.state AS was, old.had_left, old.read,
                extract(epoch FROM now() - m.sent_at)::float8 AS took
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, account_id, k.kind, jsonb_build_object('account_id', account_id,
                'message_id', id, 'state', k.state, 'reason', NULL), trace)::new_event ORDER BY m.seq, k.n)) AS written
            FROM m CROSS JOIN LATERAL (VALUES (1, $6::text, 'sent', NOT had_left), (2, $7, 'delivered', was <> 'delivered'),
                (3, $8, 'read', read)) AS k(n, kind, state, holds)
            WHERE k.holds
        )
        SELECT (SELECT count(*) FROM f) AS "held!", (SELECT written FROM told),
               (SELECT coalesce(array_agg(DISTINCT trace::text) FILTER (WHERE trace IS NOT NULL), '{}') FROM m) AS "traces!: Vec<String>",
               (SELECT coalesce(array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND NOT had_left), '{}')
                FROM m) AS "runs!: Vec<uuid::Uuid>",
               (SELECT coalesce(array_agg(DISTINCT run_id) FILTER (WHERE run_id IS NOT NULL AND NOT had_left AND was <> 'queued'), '{}')
                FROM m) AS "over!: Vec<uuid::Uuid>",
               (SELECT count(*) FILTER (WHERE was IN ('queued', 'canceled')) FROM m)::float8 AS "left!",
               (SELECT coalesce(array_agg(took) FILTER (WHERE was <> 'delivered'), '{}') FROM m) AS "delivered!",
               (SELECT coalesce(array_agg(took) FILTER (WHERE read), '{}') FROM m) AS "read!"
        "#,
        &ids,
        &read,
        &at,
        Kind::MessageSent.as_str(),
        Kind::MessageDelivered.as_str(),
        Kind::MessageRead.as_str()
    )
    .fetch_one(pool)
    .await
    .map_err(Error::from);
    step.heard(&row);
    let row = row?;
    step.follows_all(row.traces.iter().map(String::as_str));
    fence::held(row.held)?;
    // those that had failed or expired were counted before
    metrics::MESSAGES.of(MessageOutcome::Sent).inc_by(row.left);
    for (stage, times) in [(MessageStage::Delivered, row.delivered), (MessageStage::Read, row.read)] {
        times.into_iter().for_each(|took| metrics::MESSAGE_STAGE_SECONDS.of(stage).observe_with_trace(took));
    }
    correct(pool, fence, &row.over, Which::All).await;
    Ok(row.runs.into_iter().map(RunId).collect())
}

/// Corrects runs with a text that was given up but turned out to have been sent.
async fn correct(pool: &PgPool, fence: Fence, runs: &[uuid::Uuid], which: Which) {
    if let Err(error) = correct::correct(pool, runs, which).await {
        tracing::warn!(account = %fence.account, %error, "a run that was called back could not be corrected");
    }
}
