//! What of a run is handed over to a connection: that is written first, so that whoever edits the reminder or cancels the run at
//! the same time knows what has left. A row that was called back before is not handed over any more.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scope::Under;
use domain::id::MessageId;

/// A message that may be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// Which.
    pub id: MessageId,
    /// It never was before.
    pub first: bool,
}

/// Marks those of these messages that wait still, and answers them. From then on an edit leaves them alone.
///
/// # Errors
/// `Fenced` under an old epoch; else when the database fails. Nothing may be handed over then.
pub async fn mark(under: Under<'_>, messages: &[MessageId]) -> Result<Vec<Marked>> {
    let Under { pool, fence } = under;
    let ids: Vec<Uuid> = messages.iter().map(|message| message.0).collect();
    let row = sqlx::query!(
        r#"
        WITH f AS (SELECT account_id FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
        w AS (
            SELECT m.id, m.handed_at FROM messages m JOIN f ON m.account_id = f.account_id
            WHERE m.id = ANY($3) AND m.state = 'queued' ORDER BY m.seq FOR UPDATE OF m
        ), m AS (
            UPDATE messages m SET handed_at = coalesce(m.handed_at, clock_timestamp()) FROM w WHERE m.id = w.id
            RETURNING m.id, w.handed_at IS NULL AS first
        )
        SELECT (SELECT count(*) FROM f) AS "held!",
               (SELECT coalesce(array_agg(id) FILTER (WHERE first), '{}') FROM m) AS "first!: Vec<Uuid>",
               (SELECT coalesce(array_agg(id) FILTER (WHERE NOT first), '{}') FROM m) AS "again!: Vec<Uuid>"
        "#,
        fence.account.0,
        fence.epoch,
        &ids
    )
    .fetch_one(pool)
    .await?;
    if row.held == 0 {
        return Err(Error::Fenced);
    }
    let marked = |first| move |id| Marked { id: MessageId(id), first };
    Ok(row.first.into_iter().map(marked(true)).chain(row.again.into_iter().map(marked(false))).collect())
}

/// Takes back the marks of messages that were not handed over after all, for the first time.
///
/// # Errors
/// `Fenced` under an old epoch; else when the database fails: they then count as handed over, and go out all the same.
pub async fn unmark(under: Under<'_>, messages: &[MessageId]) -> Result<()> {
    let Under { pool, fence } = under;
    let ids: Vec<Uuid> = messages.iter().map(|message| message.0).collect();
    let held = sqlx::query_scalar!(
        r#"
        WITH f AS (SELECT account_id FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE),
        w AS (
            SELECT m.id FROM messages m JOIN f ON m.account_id = f.account_id
            WHERE m.id = ANY($3) AND m.state = 'queued' ORDER BY m.seq FOR UPDATE OF m
        ), m AS (UPDATE messages m SET handed_at = NULL FROM w WHERE m.id = w.id)
        SELECT count(*) AS "held!" FROM f
        "#,
        fence.account.0,
        fence.epoch,
        &ids
    )
    .fetch_one(pool)
    .await?;
    if held == 1 { Ok(()) } else { Err(Error::Fenced) }
}
