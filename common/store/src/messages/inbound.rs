//! SQL of what somebody sent to an account: each message is an event, once. The write is fenced.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::scope::Under;
use domain::event::{Event, Kind, MessageReceived};
use domain::id::AccountId;
use process::telemetry::metrics;
use process::telemetry::trace::{self, Destination};

/// A message that somebody sent to the account.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The chat's JID.
    pub chat: String,
    /// Who wrote it.
    pub sender: String,
    /// The writer's own name for themselves, where WhatsApp told it.
    pub sender_name: Option<String>,
    /// The writer's number, digits, where WhatsApp told it.
    pub sender_number: Option<String>,
    /// The writer's hidden id, `…@lid`, where WhatsApp told it.
    pub sender_lid: Option<String>,
    /// WhatsApp's id.
    pub whatsapp_id: String,
    /// Its text, where it has one.
    pub text: Option<String>,
    /// What it is (`text`, `image`, …).
    pub kind: String,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// Sent by the account itself from another device.
    pub from_me: bool,
}

impl Inbound {
    /// What is told of it.
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

/// Writes received messages as events, in order. One that was written before (WhatsApp hands a message out again when it was
/// not told in time) is left out; so is one that an earlier call is still writing, whose answer nobody waited for.
///
/// # Errors
/// `Fenced` under an old epoch; else when the database fails.
pub async fn received(under: Under<'_>, messages: &[Inbound]) -> Result<()> {
    let Under { pool, fence } = under;
    let data: Vec<Value> = messages.iter().map(|message| message.event(fence.account).data()).collect();
    let kind = Kind::MessageReceived.as_str();
    let step = trace::create(Destination::Events).account(fence.account).kind(kind).batch(messages.len());
    let written = write_received(pool, fence, &data, step.context()).await;
    step.heard(&written);
    written
}

async fn write_received(pool: &PgPool, fence: Fence, data: &[Value], trace: Option<String>) -> Result<()> {
    let mut transaction = pool.begin().await?;
    // in a statement of its own: the next one sees what the one before us has committed
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('received ' || $1::text, 0))",
        fence.account.to_string()
    )
    .execute(&mut *transaction)
    .await?;
    let row = sqlx::query!(
        r#"
        WITH f AS (SELECT account_id FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
        fresh AS (
            SELECT a.tenant_id, a.id, t.data, t.n
            FROM f JOIN accounts a ON a.id = f.account_id, unnest($3::jsonb[]) WITH ORDINALITY AS t(data, n)
            WHERE NOT EXISTS (
                SELECT 1 FROM events e
                WHERE e.account_id = a.id AND e.kind = 'message.received' AND e.data ->> 'whatsapp_id' = t.data ->> 'whatsapp_id'
                  AND e.data ->> 'chat' = t.data ->> 'chat' AND e.data ->> 'sender' = t.data ->> 'sender')
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, id, $5::text, data, $4::text)::new_event ORDER BY n)) AS written FROM fresh
        )
        SELECT (SELECT count(*) FROM f) AS "held!", (SELECT written FROM told),
               (SELECT count(*) FILTER (WHERE NOT (data ->> 'from_me')::boolean) FROM fresh)::float8 AS "others!"
        "#,
        fence.account.0,
        fence.epoch,
        data,
        trace,
        Kind::MessageReceived.as_str()
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    metrics::MESSAGES_RECEIVED.inc_by(row.others);
    if row.held == 0 { Err(Error::Fenced) } else { Ok(()) }
}
