//! The files of an installation on this machine: their places, its keys, and its ports.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::process::Command;

/// The folders of the checkout, the data and the binaries.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) bin: PathBuf,
}

impl Place {
    pub(crate) fn new(root: PathBuf, data: PathBuf, bin: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(data.join("logs")).with_context(|| format!("making {}", data.display()))?;
        Ok(Self { root, data, bin })
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }

    /// The file of running processes for `make down`, with a line "pid name command" for each.
    pub(crate) fn pids(&self) -> PathBuf {
        self.data.join("pids")
    }

    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(self.root.join("dev").join(name));
        command.env("SWITCHBOARD_DATA", &self.data).stdin(std::process::Stdio::null());
        command
    }

    /// Fails if Switchboard already runs here, because two sets of workers on one database would take each other's
    /// accounts. Stops processes that a killed run left behind.
    pub(crate) async fn refuse_if_in_use(&self) -> anyhow::Result<()> {
        let running = living(&self.pids());
        if running.iter().any(|name| name == "supervisor")
            || self.data.join("stack.env").exists() && !running.is_empty()
        {
            bail!("Switchboard already runs here ({}); stop it first: make down", running.join(", "));
        }
        if self.pids().exists() {
            println!("An earlier run was killed; stopping what it left behind: {}", running.join(", "));
            let done = self.script("down").output().await.context("running dev/down")?;
            if !done.status.success() {
                bail!("dev/down failed: {}", String::from_utf8_lossy(&done.stderr));
            }
        }
        Ok(())
    }

    /// The key that seals credentials. It is created once per data directory, in a file that only its owner can read.
    pub(crate) fn credential_keys(&self) -> anyhow::Result<String> {
        if let Some(key) = self.remembered("credential.key") {
            return Ok(key);
        }
        let mut secret = [0_u8; 32];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut secret)).context("drawing a key")?;
        let key = format!("1:{}", base64(&secret));
        self.remember("credential.key", &key)?;
        Ok(key)
    }

    /// A secret that an earlier run wrote to the data directory.
    pub(crate) fn remembered(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.data.join(name)).ok().map(|text| text.trim().to_owned())
    }

    /// Writes a secret to a file that only its owner can read.
    pub(crate) fn remember(&self, name: &str, secret: &str) -> anyhow::Result<()> {
        let path = self.data.join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        writeln!(file?, "{secret}").with_context(|| format!("writing {}", path.display()))
    }
}

/// The names in a file of pids whose processes still run the same command.
pub(crate) fn living(pids: &Path) -> Vec<String> {
    let lines = fs::read_to_string(pids).unwrap_or_default();
    lines.lines().filter_map(still_runs).collect()
}

fn still_runs(line: &str) -> Option<String> {
    let mut words = line.splitn(3, ' ');
    let (pid, name, command) = (words.next()?, words.next()?, words.next()?);
    let shown = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => bytes,
        Err(_) if Path::new("/proc/self").exists() => return None,
        Err(_) => std::process::Command::new("ps").args(["-p", pid, "-o", "command="]).output().ok()?.stdout,
    };
    shown.starts_with(command.as_bytes()).then(|| name.to_owned())
}

/// The address to listen on: with the wished port if it is free, otherwise with another free one.
pub(crate) fn listen(wished: u16) -> String {
    let free = TcpListener::bind(("127.0.0.1", wished)).is_ok();
    format!("127.0.0.1:{}", if free { wished } else { kit::free_port() })
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads() {
        assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        assert_eq!(base64(b"any carnal pleasu"), "YW55IGNhcm5hbCBwbGVhc3U=");
        assert_eq!(base64(b"any carnal pleasur"), "YW55IGNhcm5hbCBwbGVhc3Vy");
    }
}
