//! Asks a process on the same host about its health, for the health checks of container platforms: the images contain
//! no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer that takes longer counts as none. This is longer than the limit of readiness itself.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Enough of an answer for its status and its text.
const ANSWER_LIMIT: u64 = 4_096;

/// What to ask.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)] // the command that holds it has the same name
pub struct Probe {
    /// Ask whether it lives (/livez) instead of whether it is ready (/readyz)
    #[arg(long)]
    pub live: bool,
}

impl Probe {
    /// Asks the process whose ops port listens on `listen`.
    ///
    /// # Errors
    /// If the process is not ready (or not live), with its text, or does not answer within four seconds.
    pub async fn ask(&self, listen: SocketAddr) -> anyhow::Result<()> {
        let path = if self.live { "/livez" } else { "/readyz" };
        let address = SocketAddr::new(reachable(listen.ip()), listen.port());
        let asked = tokio::time::timeout(TIMEOUT, get(address, path)).await;
        let (status, words) = asked.with_context(|| format!("{address}{path}: no answer within {TIMEOUT:?}"))??;
        ensure!(status == 200, "{address}{path}: {}", words.trim());
        Ok(())
    }
}

/// The address at which a process that listens on this address can be reached.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The status and text of an answer.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream =
        TcpStream::connect(address).await.with_context(|| format!("nothing listens on {address} (OPS_LISTEN)"))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_LIMIT).read_to_string(&mut answer).await?;
    let Some((head, text)) = answer.split_once("\r\n\r\n") else { bail!("{address}{path}: that is no HTTP") };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("{address}{path}: that is no HTTP"))?, text.to_owned()))
}
