//! What `doctor` asks of Postgres, and of what the cluster does.

use process::config::Database;
use process::doctor::{Check, State};

mod certificate;
mod cluster;
mod postgres;

/// Looks at Postgres, meanwhile at what stands `beside` it, and then at what the cluster does with both.
pub async fn look(database: &Database, beside: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    let (mut checks, others) = tokio::join!(postgres::look(database), beside);
    let rows = checks.iter().all(|check| check.state != State::Failed && check.state != State::Skipped);
    checks.extend(others);
    checks.extend(cluster::look(database, rows).await);
    checks
}
