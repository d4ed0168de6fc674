//! The two statements of accepting: what is known of requests, and what they write.

use sqlx::PgConnection;
use uuid::Uuid;

use super::request::{Account, Before, Call, Wish};
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::idempotency::Answer;
use chrono::{DateTime, Utc};
use domain::account::Status;
use domain::id::MessageId;

/// What is known of a request before it is carried out.
pub(super) struct Known {
    /// Its account, if the tenant has it.
    pub(super) account: Option<Account>,
    /// What was done before under its key.
    pub(super) before: Option<Before>,
}

/// Locks the accounts of requests, and reads what is known of each request.
pub(super) async fn look<'c>(
    db: &mut PgConnection,
    calls: impl Iterator<Item = &'c (Fence, Call)>,
) -> Result<Vec<Known>> {
    let (mut tenants, mut accounts, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (line, call) in calls {
        tenants.push(call.tenant.0);
        accounts.push(line.account.0);
        keys.push(call.once.as_ref().map(|once| once.key.key.as_str()));
    }
    let rows = sqlx::query!(
        r#"
        WITH account AS (
            SELECT id, tenant_id, status, banned_until, held_until,
                status IN ('connected', 'disconnected') OR (status = 'pending' AND linked_at IS NOT NULL) AS may_send
            FROM accounts WHERE id = ANY($2) AND wanted <> 'erased'
            ORDER BY id FOR SHARE
        )
        SELECT account.status AS "status?: Status", account.banned_until AS "banned_until?", account.held_until AS "held_until?",
            account.may_send AS "may_send?", now() AS "now!",
            k.request AS "request?", k.status AS "http_status?", k.location, k.body, k.sealed AS "sealed?",
            o.fingerprint AS "fingerprint?", o.resource_id AS "message?: MessageId"
        FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS t(tenant_id, account_id, key, n)
            LEFT JOIN account ON account.id = t.account_id AND account.tenant_id = t.tenant_id
            LEFT JOIN answers k ON k.tenant_id = t.tenant_id AND k.key = t.key
            LEFT JOIN idempotency_keys o ON o.tenant_id = t.tenant_id AND o.key = t.key
        ORDER BY t.n
        "#,
        &tenants,
        &accounts,
        &keys as &[Option<&str>]
    )
    .fetch_all(db)
    .await?;
    let known = rows.into_iter().map(|row| {
        let account = found(row.status, row.may_send, row.banned_until, row.held_until, row.now);
        let before = match (row.request, row.fingerprint, row.message) {
            (Some(request), ..) => {
                let status = row.http_status.and_then(|status| u16::try_from(status).ok());
                let (Some(status), Some(body)) = (status, row.body) else {
                    return Err(Error::Corrupt("an answer without a status or a body".to_owned()));
                };
                let sealed = row.sealed.unwrap_or_default();
                Some(Before::ByThisRelease { request, answer: Answer { status, location: row.location, body, sealed } })
            }
            (None, Some(fingerprint), Some(message)) => Some(Before::ByReleaseBefore { fingerprint, message }),
            (None, ..) => None,
        };
        Ok(Known { account, before })
    });
    known.collect()
}

fn found(
    status: Option<Status>,
    may_send: Option<bool>,
    banned_until: Option<DateTime<Utc>>,
    held_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Account> {
    Some(Account { status: status?, banned_until, held_until, may_send: may_send?, now })
}

/// Writes the messages of each request whose account may send, and the answers of those with a key. In the way of the
/// previous release, it also notes a message under its key, so that neither release sends again what the other accepted.
/// Returns false if one of the keys was used meanwhile: then everything must be undone.
pub(super) async fn write(db: &mut PgConnection, wishes: &[Wish<'_>]) -> Result<bool> {
    let requests = Requests::of(wishes);
    let rows = Rows::of(wishes);
    let written = sqlx::query_scalar!(
        r#"
        WITH account AS (
            SELECT id, tenant_id, phone_number, -- `look` has locked it
                status IN ('connected', 'disconnected') OR (status = 'pending' AND linked_at IS NOT NULL) AS may_send
            FROM accounts WHERE id = ANY($2) AND wanted <> 'erased'
        ), request AS (
            SELECT t.*, account.phone_number, account.may_send
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::smallint[], $6::text[], $7::bytea[], $8::bytea[], $9::uuid[])
                    WITH ORDINALITY AS t(tenant_id, account_id, key, digest, status, location, body, fingerprint, message_id, n)
                LEFT JOIN account ON account.id = t.account_id AND account.tenant_id = t.tenant_id
        ), claimed AS (
            INSERT INTO answers (tenant_id, key, request, status, location, body, account_id)
            SELECT tenant_id, key, digest, status, location, body, account_id FROM request
            WHERE may_send AND key IS NOT NULL ORDER BY tenant_id, key
            ON CONFLICT DO NOTHING RETURNING tenant_id, key
        ), noted AS (
            INSERT INTO idempotency_keys (tenant_id, key, fingerprint, resource_id)
            SELECT tenant_id, key, fingerprint, message_id FROM request
            WHERE may_send AND fingerprint IS NOT NULL ORDER BY tenant_id, key
            ON CONFLICT DO NOTHING RETURNING tenant_id, key
        ), message AS (
            INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, expires_at, trace, sender)
            SELECT m.id, r.tenant_id, r.account_id, m.chat, m.body, m.whatsapp_id, m.expires_at, m.trace, r.phone_number
            FROM unnest($10::bigint[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::timestamptz[], $16::text[])
                    WITH ORDINALITY AS m(request, id, chat, body, whatsapp_id, expires_at, trace, n)
                JOIN request r ON r.n = m.request
            WHERE r.may_send ORDER BY m.n
        )
        SELECT bool_and(r.key IS NULL OR r.may_send IS NOT TRUE OR (
            EXISTS (SELECT FROM claimed c WHERE c.tenant_id = r.tenant_id AND c.key = r.key)
            AND (r.fingerprint IS NULL OR EXISTS (SELECT FROM noted o WHERE o.tenant_id = r.tenant_id AND o.key = r.key))))
            AS "all_keys_are_free!"
        FROM request r
        "#,
        &requests.tenants,
        &requests.accounts,
        &requests.keys as &[Option<&str>],
        &requests.digests as &[Option<&[u8]>],
        &requests.statuses as &[Option<i16>],
        &requests.locations as &[Option<&str>],
        &requests.bodies as &[Option<&[u8]>],
        &requests.fingerprints as &[Option<&[u8]>],
        &requests.messages as &[Option<Uuid>],
        &rows.requests,
        &rows.ids,
        &rows.chats as &[&str],
        &rows.texts as &[&str],
        &rows.whatsapp_ids as &[&str],
        &rows.expire_at as &[Option<DateTime<Utc>>],
        &rows.traces as &[Option<&str>]
    )
    .fetch_one(db)
    .await?;
    Ok(written)
}

/// Requests as columns.
#[derive(Default)]
struct Requests<'c> {
    tenants: Vec<Uuid>,
    accounts: Vec<Uuid>,
    keys: Vec<Option<&'c str>>,
    digests: Vec<Option<&'c [u8]>>,
    statuses: Vec<Option<i16>>,
    locations: Vec<Option<&'c str>>,
    bodies: Vec<Option<&'c [u8]>>,
    fingerprints: Vec<Option<&'c [u8]>>,
    messages: Vec<Option<Uuid>>,
}

impl<'c> Requests<'c> {
    fn of(wishes: &'c [Wish<'c>]) -> Self {
        let mut columns = Self::default();
        for Wish { line, call, answer } in wishes {
            let (once, answer) = (call.once.as_ref(), answer.as_ref());
            columns.tenants.push(call.tenant.0);
            columns.accounts.push(line.account.0);
            columns.keys.push(once.map(|once| once.key.key.as_str()));
            columns.digests.push(once.map(|once| once.key.request.as_slice()));
            columns.statuses.push(answer.and_then(|answer| i16::try_from(answer.status).ok()));
            columns.locations.push(answer.and_then(|answer| answer.location.as_deref()));
            columns.bodies.push(answer.map(|answer| answer.body.as_slice()));
            columns.fingerprints.push(once.and_then(|once| once.release_before.as_ref()).map(<[u8; 32]>::as_slice));
            columns.messages.push(call.messages.first().map(|message| message.id.0));
        }
        columns
    }
}

/// Messages as columns.
#[derive(Default)]
struct Rows<'c> {
    /// The place of the request of each, from 1.
    requests: Vec<i64>,
    ids: Vec<Uuid>,
    chats: Vec<&'c str>,
    texts: Vec<&'c str>,
    whatsapp_ids: Vec<&'c str>,
    expire_at: Vec<Option<DateTime<Utc>>>,
    traces: Vec<Option<&'c str>>,
}

impl<'c> Rows<'c> {
    fn of(wishes: &'c [Wish<'c>]) -> Self {
        let mut columns = Self::default();
        for (request, Wish { call, .. }) in (1..).zip(wishes) {
            for message in &call.messages {
                columns.requests.push(request);
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
