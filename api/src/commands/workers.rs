//! Commands about workers.

use std::io::Write;
use std::time::Duration;

use store::admin;

use super::postgres::{open, plainly};
use super::table::{instant, show};
use crate::config::Workers;

/// A worker that has been silent for longer is not shown.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

pub(super) async fn run(command: Workers, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let Workers::List { rows } = command;
    let store = open(&rows.database).await?;
    let workers = admin::workers(store.pool(), FORGOTTEN).await.map_err(|error| plainly(error, &rows.database))?;
    let heads = ["ID", "HOST", "STATE", "HELD", "CAPACITY", "RELEASE", "VERSION", "STARTED", "LAST SEEN"];
    show(out, rows.json, &workers, heads, |worker| {
        [
            worker.id.to_string(),
            worker.name.clone(),
            worker.state.clone(),
            worker.held.to_string(),
            worker.capacity.to_string(),
            worker.release.clone(),
            worker.version.clone(),
            instant(worker.started_at),
            instant(worker.last_seen),
        ]
    })
}
