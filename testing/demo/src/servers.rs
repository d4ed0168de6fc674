//! The private Postgres and Redis, started by `dev/servers`.

use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::place::Place;

/// The URLs of Postgres and Redis.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
}

/// Whether both run already. Then this program does not stop them.
pub(crate) async fn are_running(place: &Place) -> anyhow::Result<bool> {
    let status = place.script("servers").arg("status").stdout(Stdio::null()).status().await;
    Ok(status.context("running dev/servers")?.success())
}

pub(crate) async fn up(place: &Place) -> anyhow::Result<Servers> {
    // in a process group of its own, so that Ctrl-C does not interrupt it; it takes a second or two
    let done = place.script("servers").arg("up").process_group(0).output().await.context("running dev/servers")?;
    if !done.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }
    let text = std::fs::read_to_string(place.data.join("servers.env"))?;
    Ok(Servers { database_url: value(&text, "DATABASE_URL")?, redis_url: value(&text, "REDIS_URL")? })
}

pub(crate) async fn down(place: &Place) -> anyhow::Result<()> {
    let done = place.script("servers").arg("down").process_group(0).output().await.context("running dev/servers")?;
    if !done.status.success() {
        bail!("Postgres or Redis did not stop: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// The value of `NAME='value'` in a file in the syntax of a shell.
fn value(text: &str, name: &str) -> anyhow::Result<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let line = line.with_context(|| format!("servers.env lacks {name}"))?;
    Ok(line.trim_matches('\'').replace("'\\''", "'"))
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_lose_their_quotes() {
        let text = "DATABASE_URL='postgres://a:it'\\''s@b/c'\nREDIS_URL='redis://x'\n";
        assert_eq!(value(text, "DATABASE_URL").unwrap(), "postgres://a:it's@b/c");
        assert_eq!(value(text, "REDIS_URL").unwrap(), "redis://x");
        assert!(value(text, "NONE").is_err());
    }
}
