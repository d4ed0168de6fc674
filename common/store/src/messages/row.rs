//! Messages as a tenant sees them: reading and listing. The module `accept` is about accepting them, and `outbox` about
//! sending them.

use chrono::{DateTime, Utc};

use crate::accounts;
use crate::error::{Error, Result};
use crate::page::{self, Listed};
use crate::scope::Of;
use domain::account::Status;
use domain::id::{AccountId, MessageId, RunId};
use domain::message::State;

/// An outbound message. It contains the recipient and the text, so it has no `Debug`.
#[derive(Clone)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The account that sends it.
    pub account_id: AccountId,
    /// The recipient's address, in canonical form.
    pub to: String,
    /// The text.
    pub text: String,
    /// The state.
    pub state: State,
    /// Why it will not be sent, in words for a person.
    pub reason: Option<String>,
    /// Its id on WhatsApp, the same for every attempt.
    pub whatsapp_id: String,
    /// How often it was handed to WhatsApp. Attempts without an acknowledgement are lost if the worker dies or loses
    /// the account.
    pub attempts: i32,
    /// The run that it belongs to, if a reminder created it.
    pub run_id: Option<RunId>,
    /// When it expires if it could not be sent before.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When WhatsApp's server acknowledged it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it reached the recipient.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
    /// When it ended without being sent.
    pub failed_at: Option<DateTime<Utc>>,
    /// The current status of the account.
    pub account_status: Status,
    /// The end of the account's ban.
    pub banned_until: Option<DateTime<Utc>>,
    /// The end of the account's hold.
    pub held_until: Option<DateTime<Utc>>,
}

/// One message.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such message.
pub async fn get(of: Of<'_>, message: MessageId) -> Result<Message> {
    let Of { pool: db, tenant, .. } = of;
    sqlx::query_as!(
        Message,
        r#"
        SELECT m.id AS "id: MessageId", m.account_id AS "account_id: AccountId", m.chat AS "to", m.body AS "text",
            m.state AS "state: State", m.reason, m.whatsapp_id, m.attempts, m.run_id AS "run_id: RunId", m.expires_at,
            m.created_at, m.sent_at, m.delivered_at, m.read_at, m.failed_at,
            s.status AS "account_status!: Status", a.banned_until, a.held_until
        FROM messages m JOIN accounts a ON a.id = m.account_id JOIN account_states s ON s.id = a.id
        WHERE m.tenant_id = $1 AND m.id = $2
        "#,
        tenant.0,
        message.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)
}

/// The `seq` of the account's newest message; `None` if it has no message.
///
/// # Errors
/// If the database fails.
pub async fn newest(of: Of<'_>, account: AccountId) -> Result<Option<i64>> {
    let Of { pool: db, tenant, .. } = of;
    let newest = sqlx::query_scalar!(
        "SELECT seq FROM messages WHERE tenant_id = $1 AND account_id = $2 ORDER BY seq DESC LIMIT 1",
        tenant.0,
        account.0
    );
    Ok(newest.fetch_optional(db).await?)
}

/// A page of an account's messages, newest first; `before` is the `seq` of the last one seen.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn list(
    of: Of<'_>,
    account: AccountId,
    state: Option<State>,
    before: Option<i64>,
    limit: i64,
) -> Result<Listed<Message, i64>> {
    let Of { pool: db, tenant, .. } = of;
    accounts::get(of, account).await?;
    let found = sqlx::query!(
        r#"
        SELECT seq, octet_length(body)::bigint AS "bytes!" FROM messages
        WHERE tenant_id = $1 AND account_id = $2 AND ($3::text IS NULL OR state = $3) AND ($4::bigint IS NULL OR seq < $4)
        ORDER BY seq DESC LIMIT $5
        "#,
        tenant.0,
        account.0,
        state.map(State::as_str),
        before,
        limit + 1
    )
    .fetch_all(db)
    .await?;
    let fits = page::fit(found.iter().map(|row| row.bytes), limit);
    let next = page::next(&found, fits).map(|row| row.seq);
    let shown: Vec<i64> = found.iter().take(fits).map(|row| row.seq).collect();
    let rows = sqlx::query_as!(
        Message,
        r#"
        SELECT m.id AS "id: MessageId", m.account_id AS "account_id: AccountId", m.chat AS "to", m.body AS "text",
            m.state AS "state: State", m.reason, m.whatsapp_id, m.attempts, m.run_id AS "run_id: RunId", m.expires_at,
            m.created_at, m.sent_at, m.delivered_at, m.read_at, m.failed_at,
            s.status AS "account_status!: Status", a.banned_until, a.held_until
        FROM messages m JOIN accounts a ON a.id = m.account_id JOIN account_states s ON s.id = a.id
        WHERE m.tenant_id = $1 AND m.account_id = $2 AND m.seq = ANY($3)
        ORDER BY m.seq DESC
        "#,
        tenant.0,
        account.0,
        &shown
    )
    .fetch_all(db)
    .await?;
    Ok(Listed { rows, next })
}
