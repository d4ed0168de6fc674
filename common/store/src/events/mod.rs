//! Events, in an order that a reader can follow without gaps.
//!
//! Rows of concurrent transactions become visible out of order. So a reader sees only the rows of transactions that are
//! older than every running one. Then nothing is ever added before a position `(txid, id)` that a reader has seen. The
//! transaction's number is counted from the start of the era ([`super::era`]), so that positions stay valid after a
//! restore into another cluster.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::scope::{Of, Within};
use domain::id::AccountId;

mod prune;
mod write;

pub use prune::prune;
pub use write::Events;

/// A position in a tenant's events, written `txid-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The number of the transaction.
    pub txid: i64,
    /// The id of the event.
    pub id: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.txid, self.id)
    }
}

/// The error for a text that is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the id of an event, such as 1234-5678")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (txid, id) = text.split_once('-').ok_or(NoCursor)?;
        let number = |text: &str| text.parse().ok().filter(|number: &i64| *number >= 0).ok_or(NoCursor);
        Ok(Self { txid: number(txid)?, id: number(id)? })
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its position.
    pub cursor: Cursor,
    /// Its account, if it concerns one.
    pub account: Option<AccountId>,
    /// The name of a [`domain::event::Kind`], of this release or another.
    pub kind: String,
    /// Data that depends on `kind`.
    pub data: Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The W3C `traceparent` of the trace that it belongs to.
    pub trace: Option<String>,
    /// Its age when it was read, in seconds, by the database's clock.
    pub age_s: f64,
}

/// An event as live streams and webhooks show it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Happened {
    /// Its position; also the event's `id` in a stream.
    pub id: String,
    /// Its kind; also the event's name in a stream.
    pub kind: String,
    /// Its account, if it concerns one.
    pub account_id: Option<AccountId>,
    /// Data that depends on `kind`.
    pub data: Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl Happened {
    /// The JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

impl From<Recorded> for Happened {
    fn from(event: Recorded) -> Self {
        Self {
            id: event.cursor.to_string(),
            kind: event.kind,
            account_id: event.account,
            data: event.data,
            created_at: event.created_at,
        }
    }
}

/// Some consecutive events of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events in order.
    pub events: Vec<Recorded>,
    /// Whether more events are written already, but an older transaction is still running. The caller should look again
    /// very soon.
    pub held_back: bool,
}

/// The position at the end. A reader that continues from here sees every event that is committed later. It may also see
/// a few that were just committed.
///
/// # Errors
/// If the database fails.
pub async fn end(of: impl Into<Within<'_>>) -> Result<Cursor> {
    let (mut db, tenant) = of.into().acquire().await?;
    let last = sqlx::query!(
        r#"
        SELECT txid::text::bigint AS "txid!", id FROM events
        WHERE tenant_id = $1 AND txid < events_settled_below()
        ORDER BY tenant_id DESC, txid DESC, id DESC LIMIT 1
        "#,
        tenant.0
    )
    .fetch_optional(&mut *db)
    .await?;
    if let Some(last) = last {
        return Ok(Cursor { txid: last.txid, id: last.id });
    }
    // all earlier events were removed; a reader that continues from there has missed nothing
    let gone = sqlx::query!("SELECT events_gone_txid, events_gone_id FROM tenants WHERE id = $1", tenant.0);
    let gone = gone.fetch_optional(&mut *db).await?.and_then(|row| row.events_gone_txid.zip(row.events_gone_id));
    let (txid, id) = gone.unwrap_or_default();
    Ok(Cursor { txid, id })
}

/// What a reader can expect that continues from a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everything after it exists or is still to come.
    Kept,
    /// Events after it were removed. Everything after the contained position exists.
    Gone(Cursor),
    /// No event has reached this position yet.
    Ahead,
}

/// Checks a position before a reader continues from it.
///
/// # Errors
/// [`Error::NotFound`] if there is no such tenant; otherwise if the database does not answer.
pub async fn place(of: Of<'_>, cursor: Cursor) -> Result<Place> {
    let Of { pool: db, tenant, .. } = of;
    let row = sqlx::query!(
        r#"
        SELECT events_gone_txid, events_gone_id,
            (SELECT starts + pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM event_era) AS "next!"
        FROM tenants WHERE id = $1
        "#,
        tenant.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)?;
    let gone = row.events_gone_txid.zip(row.events_gone_id).map(|(txid, id)| Cursor { txid, id });
    Ok(match gone {
        _ if cursor.txid >= row.next => Place::Ahead,
        Some(gone) if cursor < gone => Place::Gone(gone),
        _ => Place::Kept,
    })
}

/// At most `limit` events after a position; of one account, if given.
///
/// # Errors
/// If the database fails.
pub async fn after(of: Of<'_>, cursor: Cursor, account: Option<AccountId>, limit: i64) -> Result<Page> {
    let Of { pool: db, tenant, .. } = of;
    let rows = sqlx::query!(
        r#"
        SELECT txid::text::bigint AS "txid!", id, account_id AS "account_id: AccountId", kind, data, created_at,
            trace, txid < (SELECT events_settled_below()) AS "settled!",
            greatest(extract(epoch FROM clock_timestamp() - created_at), 0)::float8 AS "age_s!"
        FROM events
        WHERE tenant_id = $1 AND (txid, id) > ($2::text::xid8, $3) AND ($4::uuid IS NULL OR account_id = $4)
        ORDER BY tenant_id, txid, id LIMIT $5
        "#,
        tenant.0,
        cursor.txid.to_string(),
        cursor.id,
        account.map(|account| account.0),
        limit
    )
    .fetch_all(db)
    .await?;
    let held_back = rows.iter().any(|row| !row.settled);
    let events = rows
        .into_iter()
        .take_while(|row| row.settled)
        .map(|row| Recorded {
            cursor: Cursor { txid: row.txid, id: row.id },
            account: row.account_id,
            kind: row.kind,
            data: row.data,
            created_at: row.created_at,
            trace: row.trace,
            age_s: row.age_s,
        })
        .collect();
    Ok(Page { events, held_back })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let cursor = Cursor { txid: 17, id: 4 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "17", "17-", "-4", "17-4-1", "17--4", "x-4"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }
}
