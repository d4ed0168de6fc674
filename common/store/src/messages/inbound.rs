//! SQL of messages that an account receives. Each becomes one event, exactly once. The write is fenced.

use crate::fence::{self, Fence, fenced};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::error::Result;
use crate::scope::Under;
use domain::event::{Event, Kind, MessageReceived};
use domain::id::AccountId;
use process::telemetry::metrics;
use process::telemetry::trace::{self, Destination};

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
/// `Fenced` under an old epoch; otherwise if the database fails.
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
    // a separate statement, so that the next one sees what the previous holder of the lock has committed
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('received ' || $1::text, 0))",
        fence.account.to_string()
    )
    .execute(&mut *transaction)
    .await?;
    let row = fenced!(
        query,
        fence,
        r#"
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
        data,
        trace,
        Kind::MessageReceived.as_str()
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    metrics::MESSAGES_RECEIVED.inc_by(row.others);
    fence::held(row.held)
}
