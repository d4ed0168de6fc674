//! The checks of `doctor` for Postgres and for the cluster.

use process::config::Database;
use process::doctor::{Check, State};

mod certificate;
mod cluster;
mod postgres;

/// Checks Postgres and, at the same time, whatever `beside` checks. Then checks the cluster, which needs Postgres.
pub async fn look(database: &Database, beside: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    let (mut checks, others) = tokio::join!(postgres::look(database), beside);
    let rows = checks.iter().all(|check| check.state != State::Failed && check.state != State::Skipped);
    checks.extend(others);
    checks.extend(cluster::look(database, rows).await);
    checks
}
