//! The states of the targets of runs.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use domain::id::RunId;
use domain::run::notice::Chats;
use domain::run::{Tally, TargetState};

/// The tallies of the targets of these runs.
///
/// # Errors
/// If the database fails.
pub(crate) async fn tallies(transaction: &mut PgConnection, runs: &[Uuid]) -> Result<HashMap<RunId, Tally>> {
    let rows = sqlx::query!(
        r#"SELECT run_id AS "run: RunId", state AS "state: TargetState" FROM run_targets WHERE run_id = ANY($1)"#,
        runs
    )
    .fetch_all(transaction)
    .await?;
    let mut states: HashMap<RunId, Vec<TargetState>> = HashMap::new();
    for row in rows {
        states.entry(row.run).or_default().push(row.state);
    }
    Ok(states.into_iter().map(|(run, states)| (run, Tally::of(states))).collect())
}

/// The kinds of chats among the targets of these runs, for notifications.
///
/// # Errors
/// If the database fails.
pub(crate) async fn chats(transaction: &mut PgConnection, runs: &[Uuid]) -> Result<HashMap<RunId, Chats>> {
    let rows = sqlx::query!(
        r#"SELECT run_id AS "run: RunId", count(*) AS "total!", count(*) FILTER (WHERE chat LIKE '%@g.us') AS "groups!"
           FROM run_targets WHERE run_id = ANY($1) GROUP BY run_id"#,
        runs
    )
    .fetch_all(transaction)
    .await?;
    let number = |count: i64| usize::try_from(count).unwrap_or(0);
    Ok(rows.into_iter().map(|row| (row.run, Chats::of(number(row.groups), number(row.total)))).collect())
}
