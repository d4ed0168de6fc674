//! What was told, whoever it was for.

use sqlx::PgPool;

use crate::webhook::KINDS;

/// Kinds of events in the rows that no webhook may name (R98); there must be none.
///
/// # Errors
/// When the database does not answer.
pub async fn unknown_kinds(db: &PgPool) -> sqlx::Result<Vec<String>> {
    let kinds: Vec<String> = sqlx::query_scalar("SELECT DISTINCT kind FROM events").fetch_all(db).await?;
    Ok(kinds.into_iter().filter(|kind| !KINDS.contains(&kind.as_str())).collect())
}
