//! Cancels queued messages, for any reason, and writes the events. Also queues expired messages of a resumed run again.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use crate::events::Events;
use domain::event::{Event, MessageChanged};
use domain::id::{AccountId, MessageId, RunId, TenantId};
use domain::message::State;

/// A queued message that will not be sent. The caller's transaction has locked its row. Rows are locked in the order of
/// `seq`, in which sessions also write results, so that the two can't deadlock.
#[derive(Debug)]
pub(crate) struct Message {
    /// The id of its row.
    pub(crate) id: Uuid,
    /// The reason, in words for a person.
    pub(crate) reason: String,
}

impl Message {
    /// Many messages with one reason.
    pub(crate) fn all(ids: Vec<Uuid>, reason: &str) -> Vec<Self> {
        ids.into_iter().map(|id| Self { id, reason: reason.to_owned() }).collect()
    }
}

/// Cancels messages within the caller's transaction, and writes the events. Returns their tenants.
///
/// # Errors
/// If the database fails.
pub(crate) async fn call_back(transaction: &mut PgConnection, messages: &[Message]) -> Result<Vec<TenantId>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
    let reasons: Vec<String> = messages.iter().map(|message| message.reason.clone()).collect();
    let canceled = sqlx::query!(
        r#"
        WITH m AS (
            UPDATE messages m SET state = 'canceled', reason = c.reason, failed_at = now()
            FROM unnest($1::uuid[], $2::text[]) AS c (id, reason) WHERE m.id = c.id AND m.state = 'queued'
            RETURNING m.id, m.tenant_id, m.account_id, m.seq, m.reason, m.trace
        )
        SELECT id AS "id: MessageId", tenant_id AS "tenant: TenantId", account_id AS "account: AccountId", reason, trace
        FROM m ORDER BY seq
        "#,
        &ids,
        &reasons
    )
    .fetch_all(&mut *transaction)
    .await?;
    let (mut events, mut tenants) = (Events::default(), BTreeSet::new());
    for message in canceled {
        tenants.insert(message.tenant);
        let told = Event::MessageCanceled(MessageChanged {
            account_id: message.account,
            message_id: message.id,
            state: State::Canceled,
            reason: message.reason,
        });
        events.push_of(message.trace, message.tenant, Some(message.account), &told);
    }
    events.write(transaction).await?;
    Ok(tenants.into_iter().collect())
}

/// Queues the expired messages of a resumed run again, within the caller's transaction. They expire again at
/// `expires_at`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn take_up(
    transaction: &mut PgConnection,
    tenant: TenantId,
    run: RunId,
    expires_at: Option<DateTime<Utc>>,
) -> Result<()> {
    sqlx::query!(
        "WITH q AS (
             SELECT m.id FROM messages m JOIN run_targets t ON t.run_id = m.run_id AND t.position = m.run_position
             WHERE m.tenant_id = $1 AND m.run_id = $2 AND m.state = 'expired' AND t.state = 'pending'
             ORDER BY m.seq FOR UPDATE OF m)
         UPDATE messages m SET state = 'queued', reason = NULL, failed_at = NULL, expires_at = $3
         FROM q WHERE m.id = q.id AND m.state = 'expired'",
        tenant.0,
        run.0,
        expires_at
    )
    .execute(transaction)
    .await?;
    Ok(())
}
