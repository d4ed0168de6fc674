//! Messages as a tenant sees them: accepting, reading, listing. The module `outbox` is about sending them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::accounts;
use crate::error::{Error, Result};
use crate::page::{self, Listed};
use crate::scope::{Of, Within};
use domain::account::Status;
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{AccountId, MessageId, RunId, TenantId};
use domain::jid::Jid;
use domain::job::Bell;
use domain::message::{State, whatsapp_id};
use process::telemetry::trace::{self, Destination, Step};

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
    /// Its position in the account's order.
    pub seq: i64,
    /// The current status of the account.
    pub account_status: Status,
    /// The end of the account's ban.
    pub banned_until: Option<DateTime<Utc>>,
    /// The end of the account's hold.
    pub held_until: Option<DateTime<Utc>>,
}

/// A message to be sent.
#[derive(Clone)]
pub struct Draft<'a> {
    /// The recipient.
    pub to: &'a Jid,
    /// The text.
    pub text: &'a str,
    /// When it expires if it could not be sent before.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Queues a message in one round trip: one statement checks the account and writes the row. Once this is committed, the
/// message is safe.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Conflict::NotConnected`] if the account will not come
/// online without a new pairing, or never had a phone.
pub async fn accept(of: impl Into<Within<'_>>, account: AccountId, draft: &Draft<'_>) -> Result<Committed<Message>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let message = MessageId::new();
    let step = trace::send(Destination::Outbox).tenant(tenant).account(account).message(&message);
    let row = insert(&mut db, tenant, account, message, draft, &step).await;
    step.heard(&row);
    let row = row?;
    let (Some(seq), Some(whatsapp_id), Some(created_at)) = (row.seq, row.whatsapp_id, row.created_at) else {
        return Err(Conflict::NotConnected { first_pairing: row.status == Status::Pending }.into());
    };
    let message = Message {
        id: message,
        account_id: account,
        to: draft.to.as_str().to_owned(),
        text: draft.text.to_owned(),
        state: State::Queued,
        reason: None,
        whatsapp_id,
        attempts: 0,
        run_id: None,
        expires_at: draft.expires_at,
        created_at,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
        seq,
        account_status: row.status,
        banned_until: row.banned_until,
        held_until: row.held_until,
    };
    Ok(Committed::new(message).ring(Bell::Send { account }))
}

struct Inserted {
    status: Status,
    banned_until: Option<DateTime<Utc>>,
    held_until: Option<DateTime<Utc>>,
    seq: Option<i64>,
    whatsapp_id: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

async fn insert(
    db: &mut PgConnection,
    tenant: TenantId,
    account: AccountId,
    message: MessageId,
    draft: &Draft<'_>,
    step: &Step,
) -> Result<Inserted> {
    sqlx::query_as!(
        Inserted,
        r#"
        WITH account AS (
            SELECT status, phone_number, banned_until, held_until,
                status IN ('connected', 'disconnected') OR (status = 'pending' AND linked_at IS NOT NULL) AS may_send
            FROM accounts WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased'
            FOR SHARE -- an unpair beside it either sees the row, or is seen
        ), message AS (
            INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, expires_at, trace, sender)
            SELECT $3, $1, $2, $4, $5, $6, $7, $8, phone_number FROM account WHERE may_send
            RETURNING seq, whatsapp_id, created_at
        )
        SELECT account.status AS "status: Status", account.banned_until, account.held_until,
            message.seq AS "seq?", message.whatsapp_id AS "whatsapp_id?", message.created_at AS "created_at?"
        FROM account LEFT JOIN message ON true
        "#,
        tenant.0,
        account.0,
        message.0,
        draft.to.as_str(),
        draft.text,
        whatsapp_id(rand::random()),
        draft.expires_at,
        step.context()
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)
}

/// One message.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such message.
pub async fn get(of: Of<'_>, message: MessageId) -> Result<Message> {
    let Of { pool: db, tenant } = of;
    sqlx::query_as!(
        Message,
        r#"
        SELECT m.id AS "id: MessageId", m.account_id AS "account_id: AccountId", m.chat AS "to", m.body AS "text",
            m.state AS "state: State", m.reason, m.whatsapp_id, m.attempts, m.run_id AS "run_id: RunId", m.expires_at,
            m.created_at, m.sent_at, m.delivered_at, m.read_at, m.failed_at, m.seq,
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
    let Of { pool: db, tenant } = of;
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
    let Of { pool: db, tenant } = of;
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
            m.created_at, m.sent_at, m.delivered_at, m.read_at, m.failed_at, m.seq,
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
