//! Marks messages of a run as handed over before a connection gets them. So an edit of the reminder, or a cancellation
//! of the run, at the same time knows what was sent. A message that was canceled before is not handed over.

use crate::fence::{self, fenced};
use uuid::Uuid;

use crate::error::Result;
use crate::scope::Under;
use domain::id::MessageId;

/// A message that may be handed over now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The message.
    pub id: MessageId,
    /// Whether it was marked for the first time.
    pub first: bool,
}

/// Marks those of these messages that are still queued, and returns them. From then on an edit leaves them alone.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails. In both cases nothing may be handed over.
pub async fn mark(under: Under<'_>, messages: &[MessageId]) -> Result<Vec<Marked>> {
    let Under { pool, fence, .. } = under;
    let ids: Vec<Uuid> = messages.iter().map(|message| message.0).collect();
    let row = fenced!(
        query,
        fence,
        r#"
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
        &ids
    )
    .fetch_one(pool)
    .await?;
    fence::held(row.held)?;
    let marked = |first| move |id| Marked { id: MessageId(id), first };
    Ok(row.first.into_iter().map(marked(true)).chain(row.again.into_iter().map(marked(false))).collect())
}

/// Removes the marks of messages that were marked for the first time but not handed over after all.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails. Then the messages count as handed over, and are sent
/// all the same.
pub async fn unmark(under: Under<'_>, messages: &[MessageId]) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let ids: Vec<Uuid> = messages.iter().map(|message| message.0).collect();
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        w AS (
            SELECT m.id FROM messages m JOIN f ON m.account_id = f.account_id
            WHERE m.id = ANY($3) AND m.state = 'queued' ORDER BY m.seq FOR UPDATE OF m
        ), m AS (UPDATE messages m SET handed_at = NULL FROM w WHERE m.id = w.id)
        SELECT count(*) AS "held!" FROM f
        "#,
        &ids
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}
