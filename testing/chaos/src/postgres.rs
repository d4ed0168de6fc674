//! The Postgres server of a campaign, started by `dev/servers`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// A private Postgres server, empty at the start.
pub(crate) struct Postgres {
    root: PathBuf,
    data: PathBuf,
}

impl Postgres {
    /// Starts a server under `data`, after removing what an earlier run left there.
    pub(crate) async fn start(root: PathBuf, data: PathBuf) -> anyhow::Result<Self> {
        let server = Self { root, data };
        server.script("purge").await?;
        server.script("up").await?;
        Ok(server)
    }

    /// Its URL and its address.
    pub(crate) fn address(&self) -> anyhow::Result<(String, SocketAddr)> {
        let text = std::fs::read_to_string(self.data.join("servers.env"))?;
        let url = text.lines().find_map(|line| line.strip_prefix("DATABASE_URL=")).context("no DATABASE_URL")?;
        let url = url.trim_matches('\'').to_owned();
        let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next()).context("no host in the URL")?;
        let address = host.parse().with_context(|| format!("{host} is no address"))?;
        Ok((url, address))
    }

    /// Stops it in order, as for an upgrade, and starts it again.
    pub(crate) async fn restart(&self) -> anyhow::Result<()> {
        self.script("down").await?;
        self.script("up").await
    }

    /// Stops it.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.script("down").await
    }

    async fn script(&self, verb: &str) -> anyhow::Result<()> {
        let done = Command::new(self.root.join("dev/servers"))
            .arg(verb)
            .env("SWITCHBOARD_DATA", &self.data)
            .env_remove("DATABASE_URL")
            .env("REDIS_URL", "redis://127.0.0.1:1") // Redis is started and killed by the campaign itself
            .stdin(Stdio::null())
            .process_group(0)
            .output()
            .await?;
        if !done.status.success() {
            bail!(
                "dev/servers {verb}: {}{}",
                String::from_utf8_lossy(&done.stdout),
                String::from_utf8_lossy(&done.stderr)
            );
        }
        Ok(())
    }
}
