//! Counts attempts to send a message, and the connections that it ended.

use uuid::Uuid;

use crate::error::Result;
use crate::fence::{self, Fence, fenced};
use crate::scope::Under;
use domain::id::MessageId;

/// Records hand-overs that were not acknowledged: how often each message has been handed over. A second call changes
/// nothing.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn count_attempts(under: Under<'_>, attempts: &[(MessageId, i32)]) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let (ids, counts): (Vec<Uuid>, Vec<i32>) = attempts.iter().map(|(id, count)| (id.0, *count)).unzip();
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        w AS (
            SELECT m.id, t.count FROM messages m JOIN f ON m.account_id = f.account_id
                JOIN unnest($3::uuid[], $4::int[]) AS t(id, count) ON m.id = t.id
            WHERE m.attempts < t.count ORDER BY m.seq FOR UPDATE OF m
        ), m AS (UPDATE messages m SET attempts = w.count FROM w WHERE m.id = w.id)
        SELECT count(*) AS "held!" FROM f
        "#,
        &ids,
        &counts
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}

/// How often a message of the account was blamed for the end of a connection.
///
/// # Errors
/// If the database fails.
pub async fn blamed(under: Under<'_>, message: MessageId) -> Result<i32> {
    let Under { pool, fence: Fence { account, .. }, .. } = under;
    let blamed =
        sqlx::query_scalar!("SELECT blamed FROM messages WHERE account_id = $1 AND id = $2", account.0, message.0)
            .fetch_optional(pool)
            .await?;
    Ok(blamed.unwrap_or(0))
}

/// Blames a message for the end of a connection that has no other explanation. `before` is how often it was blamed
/// before, so that a second call does not count twice. Returns how often it was blamed; 0 if it is no longer queued.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn blame(under: Under<'_>, message: MessageId, before: i32) -> Result<i32> {
    let Under { pool, fence, .. } = under;
    let row = fenced!(
        query,
        fence,
        r#"
        m AS (
            UPDATE messages m SET blamed = greatest(m.blamed, $4 + 1) FROM f
            WHERE m.id = $3 AND m.account_id = f.account_id AND m.state = 'queued' RETURNING m.blamed
        )
        SELECT (SELECT count(*) FROM f) AS "held!", coalesce((SELECT blamed FROM m), 0) AS "blamed!"
        "#,
        message.0,
        before
    )
    .fetch_one(pool)
    .await?;
    fence::held(row.held)?;
    Ok(row.blamed)
}
