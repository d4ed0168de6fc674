//! The one statement of requests without keys.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::account::Status;
use domain::id::{AccountId, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::request::{Account, Call};
use crate::error::Result;
use crate::fence::Fence;

/// Writes the messages of each request whose account may send. Returns the account of each request, if the tenant has
/// it.
pub(super) async fn write(db: &mut PgConnection, calls: &[(Fence, Call)]) -> Result<Vec<Option<Account>>> {
    let rows = Rows::of(calls);
    let found = sqlx::query!(
        r#"
        WITH account AS (
            SELECT id, tenant_id, phone_number, status, banned_until, held_until,
                status IN ('connected', 'disconnected') OR (status = 'pending' AND linked_at IS NOT NULL) AS may_send
            FROM accounts WHERE id = ANY($2) AND wanted <> 'erased'
            ORDER BY id FOR SHARE -- an unpair beside it either sees the rows, or is seen
        ), message AS (
            INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, expires_at, trace, sender)
            SELECT m.id, m.tenant_id, m.account_id, m.chat, m.body, m.whatsapp_id, m.expires_at, m.trace, a.phone_number
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[])
                    WITH ORDINALITY AS m(tenant_id, account_id, id, chat, body, whatsapp_id, expires_at, trace, n)
                JOIN account a ON a.id = m.account_id AND a.tenant_id = m.tenant_id
            WHERE a.may_send ORDER BY m.n
        )
        SELECT id AS "id: AccountId", tenant_id AS "tenant_id: TenantId", status AS "status: Status", banned_until, held_until,
            may_send AS "may_send!", now() AS "now!"
        FROM account
        "#,
        &rows.tenants,
        &rows.accounts,
        &rows.ids,
        &rows.chats as &[&str],
        &rows.texts as &[&str],
        &rows.whatsapp_ids as &[&str],
        &rows.expire_at as &[Option<DateTime<Utc>>],
        &rows.traces as &[Option<&str>]
    )
    .fetch_all(db)
    .await?;
    let found: HashMap<_, _> = found.into_iter().map(|row| ((row.tenant_id, row.id), row)).collect();
    let account = |(line, call): &(Fence, Call)| {
        let row = found.get(&(call.tenant, line.account))?;
        let (status, banned_until, held_until) = (row.status, row.banned_until, row.held_until);
        Some(Account { status, banned_until, held_until, may_send: row.may_send, now: row.now })
    };
    Ok(calls.iter().map(account).collect())
}

/// The messages of all requests, as columns.
#[derive(Default)]
struct Rows<'c> {
    tenants: Vec<Uuid>,
    accounts: Vec<Uuid>,
    ids: Vec<Uuid>,
    chats: Vec<&'c str>,
    texts: Vec<&'c str>,
    whatsapp_ids: Vec<&'c str>,
    expire_at: Vec<Option<DateTime<Utc>>>,
    traces: Vec<Option<&'c str>>,
}

impl<'c> Rows<'c> {
    fn of(calls: &'c [(Fence, Call)]) -> Self {
        let mut columns = Self::default();
        for (line, call) in calls {
            for message in &call.messages {
                columns.tenants.push(call.tenant.0);
                columns.accounts.push(line.account.0);
                columns.ids.push(message.id.0);
                columns.chats.push(message.draft.to.as_str());
                columns.texts.push(&message.draft.text);
                columns.whatsapp_ids.push(&message.whatsapp_id);
                columns.expire_at.push(message.draft.expires_at);
                columns.traces.push(call.trace.as_deref());
            }
        }
        columns
    }
}
