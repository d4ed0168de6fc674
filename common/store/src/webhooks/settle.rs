//! Writes what became of new events, for many webhooks in one statement: their deliveries, and the position up to which
//! they were read. An event that was delivered at once costs one row, without its data.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::look::News;
use super::owner::Owner;
use crate::batched::Batch;
use crate::error::Result;
use crate::events::Cursor;
use crate::scope::Owning;
use domain::webhook::retry::Verdict;

/// The end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// The receiver answered with this status, which is a 2xx.
    Delivered(u16),
    /// It failed.
    Failed {
        /// The status, if there was an answer.
        status: Option<u16>,
        /// One word that says why.
        word: &'static str,
        /// What becomes of the delivery.
        verdict: Verdict,
        /// Whether it adds to the webhook's failures. Otherwise the receiver refused this event.
        counts: bool,
    },
}

/// What the attempts say of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether an attempt has succeeded.
    pub well: bool,
    /// How many have failed since the last success.
    pub failures: i32,
    /// How many were refused since the last success.
    pub refusals: i32,
}

/// What became of some consecutive events.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The webhook's position as it is stored.
    pub from: Cursor,
    /// The position of the last event.
    pub to: Cursor,
    /// The events that the webhook carries, in order. One without an end waits for its first attempt.
    pub events: Vec<(News, Option<End>)>,
    /// What the attempts say of the receiver.
    pub standing: Standing,
    /// Of the deliveries that hold back no others, only so many of the newest stay pending.
    pub passed_max: i64,
}

/// Creates the deliveries of these events and moves the webhook's cursor, together with those of other webhooks. Returns
/// the webhook's [`Held::version`](super::follow::Held::version). `None` means that the cursor was moved (perhaps by this
/// very call, whose answer was lost) or the webhook claimed meanwhile, or that its row is locked. [`settle_alone`] tells.
///
/// # Errors
/// If the database fails. Then nothing was written, and the events are posted again.
pub async fn settle(owning: Owning<'_>, settled: Arc<Settled>) -> Result<Option<i64>> {
    owning.batches.call::<Settles>(owning.owner, settled).await
}

/// Like [`settle`], but waits for whoever has locked the webhook's row. `None` means that the cursor was moved or the
/// webhook claimed meanwhile.
///
/// # Errors
/// As there.
pub async fn settle_alone(owning: Owning<'_>, settled: Arc<Settled>) -> Result<Option<i64>> {
    let alone = write(owning.batches.pool(), &[(owning.owner, settled)], true).await?;
    Ok(alone.into_iter().next().flatten())
}

/// What became of the events of many webhooks, written in one statement.
struct Settles;

impl Batch for Settles {
    type Right = Owner;
    type Means = PgPool;
    type Call = Arc<Settled>;
    type Done = Option<i64>;

    const WHAT: &'static str = "deliveries";

    fn rows(settled: &Arc<Settled>) -> usize {
        settled.events.len().max(1)
    }

    fn most(_pool: &PgPool) -> usize {
        1
    }

    fn one_per_account() -> bool {
        true // one statement can't change a row twice
    }

    async fn run(pool: &PgPool, calls: &[(Owner, Arc<Settled>)]) -> Result<Vec<Result<Option<i64>>>> {
        Ok(write(pool, calls, false).await?.into_iter().map(Ok).collect())
    }
}

/// The columns of the new rows.
#[derive(Default)]
struct Columns<'a> {
    webhooks: Vec<Uuid>,
    ids: Vec<Uuid>,
    txids: Vec<i64>,
    event_ids: Vec<i64>,
    accounts: Vec<Option<Uuid>>,
    kinds: Vec<&'a str>,
    data: Vec<Option<&'a str>>,
    times: Vec<DateTime<Utc>>,
    traces: Vec<Option<&'a str>>,
    states: Vec<&'static str>,
    attempts: Vec<i32>,
    holds: Vec<bool>,
    again_in: Vec<f64>,
    statuses: Vec<Option<i32>>,
    words: Vec<Option<&'static str>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, owner: Owner, event: &'a News, end: Option<End>) {
        let (state, attempts, holds, again_in, status, word) = match end {
            None => ("pending", 0, true, None, None, None),
            Some(End::Delivered(status)) => ("delivered", 1, true, None, Some(status), None),
            Some(End::Failed { status, word, verdict: Verdict { attempts, again_in, holds }, .. }) => {
                let state = if again_in.is_some() { "pending" } else { "failed" };
                (state, attempts, holds, again_in, status, Some(word))
            }
        };
        self.webhooks.push(owner.webhook.0);
        self.ids.push(event.delivery(owner.webhook).0);
        self.txids.push(event.cursor.txid);
        self.event_ids.push(event.cursor.id);
        self.accounts.push(event.account.map(|account| account.0));
        self.kinds.push(&event.kind);
        // what was delivered needs its data no more
        self.data.push((state != "delivered").then(|| event.data.as_ref().map_or("null", |data| data.get())));
        self.times.push(event.created_at);
        self.traces.push(event.trace.as_deref());
        self.states.push(state);
        self.attempts.push(attempts);
        self.holds.push(holds);
        self.again_in.push(again_in.map_or(0.0, |wait| wait.as_secs_f64()));
        self.statuses.push(status.map(i32::from));
        self.words.push(word);
    }
}

/// Returns for each call the webhook's version; `None` if nothing was written for it. A webhook whose row is locked is
/// passed over, unless `waits`.
async fn write(pool: &PgPool, calls: &[(Owner, Arc<Settled>)], waits: bool) -> Result<Vec<Option<i64>>> {
    let uuids = |of: fn(&Owner) -> Uuid| calls.iter().map(|(owner, _)| of(owner)).collect::<Vec<_>>();
    let numbers = |of: fn(&Settled) -> i64| calls.iter().map(|(_, settled)| of(settled)).collect::<Vec<_>>();
    let counts = |of: fn(&Settled) -> i32| calls.iter().map(|(_, settled)| of(settled)).collect::<Vec<_>>();
    let well: Vec<bool> = calls.iter().map(|(_, settled)| settled.standing.well).collect();
    let mut rows = Columns::default();
    for (owner, settled) in calls {
        settled.events.iter().for_each(|(event, end)| rows.push(*owner, event, *end));
    }
    let moved = sqlx::query!(
        r#"
        WITH w AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::int[], $9::int[], $10::bool[], $11::bigint[])
                AS w(tenant_id, id, worker, from_txid, from_id, to_txid, to_id, failures, refusals, well, passed_max)),
        free AS (
            SELECT h.id FROM webhooks h JOIN w ON w.tenant_id = h.tenant_id AND w.id = h.id AND w.worker = h.owner
                AND (w.from_txid, w.from_id) = (h.cursor_txid, h.cursor_id)
            WHERE NOT $12 ORDER BY h.id FOR NO KEY UPDATE OF h SKIP LOCKED),
        awaited AS (
            SELECT h.id FROM webhooks h JOIN w ON w.tenant_id = h.tenant_id AND w.id = h.id AND w.worker = h.owner
                AND (w.from_txid, w.from_id) = (h.cursor_txid, h.cursor_id)
            WHERE $12 ORDER BY h.id FOR NO KEY UPDATE OF h),
        moved AS (
            UPDATE webhooks h SET cursor_txid = w.to_txid, cursor_id = w.to_id,
                failures = CASE WHEN w.well THEN 0 ELSE h.failures END + w.failures,
                refusals = CASE WHEN w.well THEN 0 ELSE h.refusals END + w.refusals,
                failing_since = CASE WHEN w.failures + w.refusals = 0 THEN CASE WHEN NOT w.well THEN h.failing_since END
                    WHEN w.well THEN now() ELSE coalesce(h.failing_since, now()) END
            FROM w JOIN (SELECT id FROM free UNION ALL SELECT id FROM awaited) ours ON ours.id = w.id
            WHERE h.tenant_id = w.tenant_id AND h.id = w.id
            RETURNING h.tenant_id, h.id, h.version, w.passed_max),
        made AS (
            INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event_txid, event_id, account_id, kind, data, happened_at,
                trace, state, attempts, holds, next_attempt_at, last_status, last_error, finished_at)
            SELECT e.id, m.tenant_id, m.id, e.txid, e.event_id, e.account_id, e.kind, e.data::jsonb, e.happened_at,
                e.trace, e.state, e.attempts, e.holds, now() + make_interval(secs => e.again_in), e.status, e.word,
                CASE WHEN e.state <> 'pending' THEN now() END
            FROM unnest($13::uuid[], $14::uuid[], $15::bigint[], $16::bigint[], $17::uuid[], $18::text[], $19::text[],
                $20::timestamptz[], $21::text[], $22::text[], $23::int[], $24::bool[], $25::float8[], $26::int[], $27::text[])
                AS e(webhook_id, id, txid, event_id, account_id, kind, data, happened_at, trace, state, attempts, holds,
                    again_in, status, word)
            JOIN moved m ON m.id = e.webhook_id
            ORDER BY m.id, e.txid, e.event_id),
        given_up AS (
            UPDATE webhook_deliveries SET state = 'failed', last_error = 'overflow', finished_at = now()
            WHERE state = 'pending' AND id IN (
                SELECT passed.id FROM moved m CROSS JOIN LATERAL (
                    SELECT d.id FROM webhook_deliveries d
                    WHERE d.webhook_id = m.id AND d.tenant_id = m.tenant_id AND d.state = 'pending' AND NOT d.holds
                    ORDER BY d.seq DESC OFFSET m.passed_max) passed))
        SELECT id, version FROM moved
        "#,
        &uuids(|owner| owner.tenant.0),
        &uuids(|owner| owner.webhook.0),
        &uuids(|owner| owner.worker.0),
        &numbers(|settled| settled.from.txid),
        &numbers(|settled| settled.from.id),
        &numbers(|settled| settled.to.txid),
        &numbers(|settled| settled.to.id),
        &counts(|settled| settled.standing.failures),
        &counts(|settled| settled.standing.refusals),
        &well,
        &numbers(|settled| settled.passed_max),
        waits,
        &rows.webhooks,
        &rows.ids,
        &rows.txids,
        &rows.event_ids,
        &rows.accounts as &[Option<Uuid>],
        &rows.kinds as &[&str],
        &rows.data as &[Option<&str>],
        &rows.times,
        &rows.traces as &[Option<&str>],
        &rows.states as &[&str],
        &rows.attempts,
        &rows.holds,
        &rows.again_in,
        &rows.statuses as &[Option<i32>],
        &rows.words as &[Option<&str>]
    )
    .fetch_all(pool)
    .await?;
    let version = |webhook: Uuid| moved.iter().find(|row| row.id == webhook).map(|row| row.version);
    Ok(calls.iter().map(|(owner, _)| version(owner.webhook.0)).collect())
}
