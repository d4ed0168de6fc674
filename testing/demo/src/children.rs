//! The processes that were started: their logs, their pids on disk, and their end.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::place::Place;

/// A stop that takes longer than this is ended by force.
const STOP_LIMIT: Duration = Duration::from_secs(10);

struct Process {
    name: String,
    child: Child,
    command: PathBuf,
}

/// All processes of one run.
#[derive(Default)]
pub(crate) struct Children(Vec<Process>);

impl Children {
    /// Starts a program in a process group of its own, so that Ctrl-C reaches only us and we stop it in good order.
    pub(crate) fn start(
        &mut self,
        place: &Place,
        name: &str,
        program: &str,
        envs: &[(&str, String)],
    ) -> anyhow::Result<()> {
        let command = place.bin.join(program);
        let path = place.log(name);
        let log = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        let child = Command::new(&command)
            .envs(envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", command.display()))?;
        self.0.push(Process { name: name.to_owned(), child, command });
        self.write_pids(place, true)
    }

    /// With `supervised`, the first line is this process, which ends the others when it is asked to end.
    pub(crate) fn write_pids(&self, place: &Place, supervised: bool) -> anyhow::Result<()> {
        let mut lines = String::new();
        if supervised {
            let me = std::env::args().next().unwrap_or_default();
            lines.push_str(&format!("{} supervisor {me}\n", std::process::id()));
        }
        for process in &self.0 {
            if let Some(pid) = process.child.id() {
                lines.push_str(&format!("{pid} {} {}\n", process.name, process.command.display()));
            }
        }
        fs::write(place.pids(), lines).context("writing the pids")
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.iter().filter_map(|process| process.child.id()).collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|process| process.name.as_str()).collect()
    }

    /// The first process found dead, with how it ended.
    pub(crate) fn dead(&mut self) -> Option<(String, String)> {
        self.0.iter_mut().find_map(|process| {
            let status = process.child.try_wait().ok().flatten()?;
            Some((process.name.clone(), status.to_string()))
        })
    }

    /// Asks all of them to end, then waits, then insists.
    pub(crate) async fn stop(&mut self) {
        signal("TERM", &self.pids()).await;
        let deadline = Instant::now() + STOP_LIMIT;
        for process in &mut self.0 {
            if tokio::time::timeout_at(deadline, process.child.wait()).await.is_err() {
                println!("  {} did not end within {} s: killed", process.name, STOP_LIMIT.as_secs());
                // It ends now or has ended: there is nothing left to report.
                let _ = process.child.kill().await;
            }
        }
        self.0.clear();
    }
}

async fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    let command = format!("kill -{name} {}", words.join(" "));
    // A process that has ended meanwhile is no failure.
    let _ = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status().await;
}
