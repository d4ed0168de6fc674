//! Reads new events, for many webhooks in one statement.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use uuid::Uuid;

use super::owner::Owner;
use crate::batched::Batch;
use crate::error::Result;
use crate::events::Cursor;
use crate::scope::Owning;
use domain::id::{AccountId, DeliveryId, WebhookId};
use domain::webhook::delivery;

/// How many rows a look counts for in a batch. Most find few events, and events may be large.
const ROWS: usize = 32;

/// What changes whenever a follower must read its webhook anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The webhook's [`Held::version`](super::follow::Held::version).
    pub version: i64,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Whether the previous secret signs, too.
    pub previous_signs: bool,
}

/// New events of a webhook.
#[derive(Debug)]
pub struct Look {
    /// Tells whether the webhook has changed.
    pub mark: Mark,
    /// The events, in order.
    pub events: Vec<News>,
    /// Whether more events are written already, but an older transaction is still running. The caller should look again
    /// very soon.
    pub held_back: bool,
}

/// An event, as a webhook reads it.
#[derive(Debug, Clone)]
pub struct News {
    /// Its position.
    pub cursor: Cursor,
    /// Its account, if it concerns one.
    pub account: Option<AccountId>,
    /// Its kind.
    pub kind: String,
    /// Its data, as JSON text; `None` if the webhook does not carry events of this kind.
    pub data: Option<Box<RawValue>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The W3C `traceparent` of the trace that it belongs to.
    pub trace: Option<String>,
    /// Its age when it was read, in seconds, by the database's clock.
    pub age_s: f64,
}

impl News {
    /// The id of its delivery to a webhook: always the same.
    #[must_use]
    pub fn delivery(&self, webhook: WebhookId) -> DeliveryId {
        delivery::id(webhook, (self.cursor.txid, self.cursor.id), self.created_at.timestamp_millis())
    }

    /// The body of a post: the same JSON object as [`Happened`](crate::events::Happened), with the data as it was read.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Shown<'a> {
            id: String,
            kind: &'a str,
            account_id: Option<AccountId>,
            data: Option<&'a RawValue>,
            created_at: DateTime<Utc>,
        }
        let shown = Shown {
            id: self.cursor.to_string(),
            kind: &self.kind,
            account_id: self.account,
            data: self.data.as_deref(),
            created_at: self.created_at,
        };
        serde_json::to_string(&shown).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// At most `limit` events after a position. Returns `None` if the webhook is deleted, disabled or owned by another worker.
///
/// # Errors
/// If the database fails.
pub async fn look(owning: Owning<'_>, after: Cursor, limit: i64) -> Result<Option<Look>> {
    owning.batches.call::<Looks>(owning.owner, (after, limit)).await
}

/// Looks of many webhooks, in one statement.
struct Looks;

impl Batch for Looks {
    type Right = Owner;
    type Means = PgPool;
    type Call = (Cursor, i64);
    type Done = Option<Look>;

    const WHAT: &'static str = "looks for events";

    fn rows(_after: &Self::Call) -> usize {
        ROWS
    }

    fn most(_pool: &PgPool) -> usize {
        1
    }

    fn one_per_account() -> bool {
        true // one look ends before the next begins
    }

    async fn run(pool: &PgPool, calls: &[(Owner, Self::Call)]) -> Result<Vec<Result<Option<Look>>>> {
        let tenants: Vec<Uuid> = calls.iter().map(|(owner, _)| owner.tenant.0).collect();
        let webhooks: Vec<Uuid> = calls.iter().map(|(owner, _)| owner.webhook.0).collect();
        let workers: Vec<Uuid> = calls.iter().map(|(owner, _)| owner.worker.0).collect();
        let txids: Vec<String> = calls.iter().map(|(_, (after, _))| after.txid.to_string()).collect();
        let ids: Vec<i64> = calls.iter().map(|(_, (after, _))| after.id).collect();
        let limits: Vec<i64> = calls.iter().map(|(_, (_, limit))| *limit).collect();
        let rows = sqlx::query!(
            r#"
            SELECT w.n AS "n!", h.version, h.updated_at, coalesce(h.previous_secret_until > now(), false) AS "previous_signs!",
                e.txid::text::bigint AS txid, e.id AS "id?", e.account_id AS "account_id?: AccountId", e.kind AS "kind?",
                CASE WHEN h.kinds = '{}' OR e.kind = ANY (h.kinds) THEN e.data END AS "data: sqlx::types::Json<Box<RawValue>>",
                e.created_at AS "created_at?", e.trace AS "trace?", e.txid < s.below AS "is_settled?",
                greatest(extract(epoch FROM clock_timestamp() - e.created_at), 0)::float8 AS age_s
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[])
                WITH ORDINALITY AS w(tenant_id, id, worker, txid, event_id, at_most, n)
            JOIN webhooks h ON h.tenant_id = w.tenant_id AND h.id = w.id AND h.owner = w.worker AND h.enabled
            CROSS JOIN (SELECT events_settled_below() AS below) s
            LEFT JOIN LATERAL (
                SELECT * FROM events e WHERE e.tenant_id = w.tenant_id AND (e.txid, e.id) > (w.txid::xid8, w.event_id)
                ORDER BY e.tenant_id, e.txid, e.id LIMIT w.at_most) e ON true
            ORDER BY w.n, e.txid, e.id
            "#,
            &tenants,
            &webhooks,
            &workers,
            &txids,
            &ids,
            &limits
        )
        .fetch_all(pool)
        .await?;
        let mut looks: Vec<Option<Look>> = calls.iter().map(|_| None).collect();
        for row in rows {
            let Some(look) = usize::try_from(row.n - 1).ok().and_then(|n| looks.get_mut(n)) else { continue };
            let (version, updated_at, previous_signs) = (row.version, row.updated_at, row.previous_signs);
            let mark = Mark { version, updated_at, previous_signs };
            let look = look.get_or_insert_with(|| Look { mark, events: Vec::new(), held_back: false });
            // a webhook without new events has one row all the same
            let (Some(txid), Some(id), Some(kind), Some(created_at)) = (row.txid, row.id, row.kind, row.created_at)
            else {
                continue;
            };
            look.held_back |= row.is_settled != Some(true);
            if !look.held_back {
                look.events.push(News {
                    cursor: Cursor { txid, id },
                    account: row.account_id,
                    kind,
                    data: row.data.map(|data| data.0),
                    created_at,
                    trace: row.trace,
                    age_s: row.age_s.unwrap_or_default(),
                });
            }
        }
        Ok(looks.into_iter().map(Ok).collect())
    }
}
