//! Shows the owners of accounts, from Postgres and Redis.

use std::io::Write;
use std::time::Duration;

use bells::lease::{self, Leases as Door};
use domain::id::WorkerId;
use serde::Serialize;
use store::admin;

use super::postgres::{open, plainly};
use super::table::{instant, or_dash, show};
use crate::config::Leases;

/// A lease with its state in Redis.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    lease: admin::Lease,
    /// `held`: by the same owner under the same epoch. `missing`: there is no key. `other`: by another owner or epoch.
    /// `unknown`: Redis is away.
    redis: &'static str,
    /// Milliseconds until the key in Redis expires.
    redis_ttl_ms: Option<i64>,
}

pub(super) async fn run(command: Leases, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let Leases::List { stores, worker, limit } = command;
    let store = open(&stores.database).await?;
    let leases = admin::leases(store.for_all_tenants(), worker.as_deref(), limit.limit);
    let leases = leases.await.map_err(|error| plainly(error, &stores.database))?;
    let door = Door::connect(&stores.redis.url, &stores.redis.prefix, WorkerId::new(), Duration::ZERO)?; // no renewals
    let accounts: Vec<_> = leases.iter().map(|lease| lease.account_id).collect();
    let keys = match door.look(&accounts).await {
        Ok(keys) => Some(keys),
        Err(error) => {
            eprintln!("Redis was not asked: {error}");
            None
        }
    };
    let rows: Vec<Row> = leases
        .into_iter()
        .enumerate()
        .map(|(place, lease)| {
            let key = keys.as_ref().map(|keys| keys.get(place));
            let (redis, redis_ttl_ms) = judge(&lease, key);
            Row { lease, redis, redis_ttl_ms }
        })
        .collect();
    let heads = ["ACCOUNT", "STATUS", "WORKER", "HOST", "ALIVE", "EPOCH", "CLAIMED", "REDIS"];
    show(out, stores.json, &rows, heads, |row| {
        [
            row.lease.account_id.to_string(),
            row.lease.status.as_str().to_owned(),
            or_dash(row.lease.worker_id),
            or_dash(row.lease.worker.clone()),
            (if row.lease.alive { "yes" } else { "no" }).to_owned(),
            row.lease.epoch.to_string(),
            or_dash(row.lease.claimed_at.map(instant)),
            row.redis.to_owned(),
        ]
    })
}

/// Pure. The state of a lease in Redis. The outer `None` means that Redis was not asked.
fn judge(lease: &admin::Lease, key: Option<Option<&lease::Key>>) -> (&'static str, Option<i64>) {
    match key {
        None => ("unknown", None),
        Some(None) => ("missing", None),
        Some(Some(key)) => match &key.value {
            None => ("missing", None),
            Some(value) if lease.worker_id.is_some_and(|worker| *value == format!("{worker}:{}", lease.epoch)) => {
                ("held", Some(key.ttl_ms))
            }
            Some(_) => ("other", Some(key.ttl_ms)),
        },
    }
}
