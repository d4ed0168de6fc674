//! SQL of messages that an account receives. Each becomes one event, exactly once. The write is fenced.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::batched::{Batch, answers};
use crate::error::Result;
use crate::fence::{Fence, Fences, fenced_each};
use crate::scope::Under;
use domain::event::{Event, Kind, MessageReceived};
use domain::id::AccountId;
use process::telemetry::metrics;
use process::telemetry::trace::{self, Destination};

/// The longest WhatsApp id that is kept, in characters. Real ones have at most 32, but the sender chooses them.
pub const ID_MAX: usize = 128;

/// A received message.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The chat's JID.
    pub chat: String,
    /// The sender's JID.
    pub sender: String,
    /// The name that the sender chose, if WhatsApp reported it.
    pub sender_name: Option<String>,
    /// The digits of the sender's number, if WhatsApp reported it.
    pub sender_number: Option<String>,
    /// The sender's LID, `…@lid`, if WhatsApp reported it.
    pub sender_lid: Option<String>,
    /// The id of the message on WhatsApp.
    pub whatsapp_id: String,
    /// The text, if there is one.
    pub text: Option<String>,
    /// The type of the message (`text`, `image`, …).
    pub kind: String,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// Whether the account itself sent it from another device.
    pub from_me: bool,
}

impl Inbound {
    /// The event about the message.
    fn event(&self, account_id: AccountId) -> Event {
        let Self { chat, sender, sender_name, sender_number, sender_lid, whatsapp_id, text, kind, at, from_me } =
            self.clone();
        Event::MessageReceived(MessageReceived {
            account_id,
            chat,
            sender,
            sender_name,
            sender_number,
            sender_lid,
            whatsapp_id,
            text,
            kind,
            at,
            from_me,
        })
    }
}

/// Writes received messages as events, in order. Messages that were written before are left out, since WhatsApp
/// delivers a message again if it was not acknowledged in time. So are messages that an earlier, abandoned call is
/// still writing.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if they can't be stored.
pub async fn received(under: Under<'_>, messages: &[Inbound]) -> Result<()> {
    let Under { batches, fence, .. } = under;
    let data: Vec<Value> = messages.iter().map(|message| message.event(fence.account).data()).collect();
    let kind = Kind::MessageReceived.as_str();
    let step = trace::create(Destination::Events).account(fence.account).kind(kind).batch(messages.len());
    let written = batches.call::<Received>(fence, Arrived { data, trace: step.context() }).await;
    step.heard(&written);
    metrics::MESSAGES_RECEIVED.inc_by(written?);
    Ok(())
}

/// Whether a received message under this WhatsApp id was written, and its event is still kept.
///
/// # Errors
/// If the database fails.
pub(crate) async fn is_known(pool: &PgPool, account: AccountId, whatsapp_id: &str) -> Result<bool> {
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM events e WHERE e.account_id = $1 AND e.kind = 'message.received'
               AND e.data ->> 'whatsapp_id' = left($2, $3)) AS "known!""#,
        account.0,
        whatsapp_id,
        i32::try_from(ID_MAX).unwrap_or(i32::MAX)
    );
    Ok(known.fetch_one(pool).await?)
}

/// Received messages of many sessions, written in one transaction.
struct Received;

/// One call: messages of one session, as the data of their events. Its answer is how many of them are new and from
/// others.
struct Arrived {
    data: Vec<Value>,
    trace: Option<String>,
}

impl Batch for Received {
    type Right = Fence;
    type Means = PgPool;
    type Call = Arrived;
    type Done = f64;

    const WHAT: &'static str = "received messages";

    fn rows(arrived: &Arrived) -> usize {
        arrived.data.len()
    }

    async fn run(pool: &PgPool, calls: &[(Fence, Arrived)]) -> Result<Vec<Result<f64>>> {
        let (mut accounts, mut data, mut traces) = (Vec::new(), Vec::new(), Vec::new());
        for (fence, arrived) in calls {
            accounts.extend(std::iter::repeat_n(fence.account.0, arrived.data.len()));
            data.extend_from_slice(&arrived.data);
            traces.extend(std::iter::repeat_n(arrived.trace.clone(), arrived.data.len()));
        }
        let fences = Fences::of(calls);
        let mut transaction = pool.begin().await?;
        // a separate statement, so that the next one sees what the previous holder of a lock has committed
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('received ' || account_id, 0))
             FROM (SELECT account_id FROM unnest($1::uuid[]) AS t(account_id) ORDER BY account_id) t",
            &fences.accounts
        )
        .execute(&mut *transaction)
        .await?;
        let rows = fenced_each!(
            query,
            fences,
            r#"
            fresh AS (
                SELECT DISTINCT ON (t.account_id, t.data ->> 'chat', t.data ->> 'sender', t.data ->> 'whatsapp_id')
                    a.tenant_id, t.account_id, t.data, t.trace, t.n
                FROM unnest($3::uuid[], $4::jsonb[], $5::text[]) WITH ORDINALITY AS t(account_id, data, trace, n)
                    JOIN f ON f.account_id = t.account_id JOIN accounts a ON a.id = t.account_id
                WHERE NOT EXISTS (
                    SELECT 1 FROM events e
                    WHERE e.account_id = t.account_id AND e.kind = 'message.received' AND e.data ->> 'whatsapp_id' = t.data ->> 'whatsapp_id'
                      AND e.data ->> 'chat' = t.data ->> 'chat' AND e.data ->> 'sender' = t.data ->> 'sender')
                ORDER BY t.account_id, t.data ->> 'chat', t.data ->> 'sender', t.data ->> 'whatsapp_id', t.n
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, account_id, $6::text, data, trace)::new_event ORDER BY n)) AS written
                FROM fresh
            )
            SELECT f.account_id, (SELECT written FROM told),
                   (SELECT count(*) FROM fresh WHERE fresh.account_id = f.account_id AND NOT (data ->> 'from_me')::boolean)::float8
                       AS "others!"
            FROM f
            "#,
            &accounts,
            &data,
            &traces as &[Option<String>],
            Kind::MessageReceived.as_str()
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(answers(calls, rows.into_iter().map(|row| (row.account_id, row.others)).collect()))
    }
}
