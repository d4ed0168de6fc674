//! The processes that were started: their logs, their pids on disk, and their end.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use kit::{Cluster, Process, Processes, Program};
use tokio::task::JoinSet;

use crate::place::Place;

/// A process that takes longer to stop is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// All processes of a run.
#[derive(Default)]
pub(crate) struct Children(Vec<Process>);

impl Children {
    /// Starts a part with a new log.
    pub(crate) fn start(
        &mut self,
        place: &Place,
        cluster: &Cluster<Processes>,
        program: Program,
        name: &str,
        more: &[(&str, &str)],
    ) -> anyhow::Result<&Process> {
        let _ = fs::remove_file(place.log(name)); // the log of an earlier run, if there was one
        self.0.push(cluster.start(program, name, more)?);
        self.write_pids(place, true)?;
        self.0.last().context("just started")
    }

    /// Writes the file of pids. With `supervised`, its first line is this process, which ends the others when it is
    /// asked to end.
    pub(crate) fn write_pids(&self, place: &Place, supervised: bool) -> anyhow::Result<()> {
        let mut lines = String::new();
        if supervised {
            let me = std::env::args().next().unwrap_or_default();
            lines.push_str(&format!("{} supervisor {me}\n", std::process::id()));
        }
        for process in &self.0 {
            if let Some(pid) = process.pid() {
                lines.push_str(&format!("{pid} {} {}\n", process.name, process.path.display()));
            }
        }
        fs::write(place.pids(), lines).context("writing the pids")
    }

    /// All processes, in the order of their start.
    pub(crate) fn all(&self) -> &[Process] {
        &self.0
    }

    /// The first process that has ended, with its name and exit status.
    pub(crate) fn dead(&mut self) -> Option<(String, String)> {
        self.0.iter_mut().find_map(|process| Some((process.name.clone(), process.ended()?.to_string())))
    }

    /// Asks all processes to end, waits, and kills those that do not.
    pub(crate) async fn stop(&mut self) {
        let mut ends = JoinSet::new();
        for mut process in self.0.drain(..) {
            ends.spawn(async move {
                if let Ok(None) = process.stop(STOP_LIMIT).await {
                    println!("  {} did not end within {} s: killed", process.name, STOP_LIMIT.as_secs());
                }
            });
        }
        ends.join_all().await;
    }
}
