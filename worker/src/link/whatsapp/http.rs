//! The HTTP client of a link. It reads one page of WhatsApp's, for its version. Media is not transferred yet.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::transport::default_tls_connector;

/// The time limit of the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(8);
/// A longer page is not the expected one.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// Refuses every request. The client library uses HTTP only to transfer media and to look up the version, which we give
/// it.
pub(super) struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, _request: HttpRequest) -> Result<HttpResponse> {
        bail!("media is not transferred")
    }
}

/// Reads a page over TLS.
pub(super) async fn get(host: &str, path: &str) -> Result<String> {
    timeout(TIMEOUT, exchange(host, path)).await.context("no answer in time")?
}

async fn exchange(host: &str, path: &str) -> Result<String> {
    let tcp = TcpStream::connect((host, 443)).await.context("connect")?;
    let mut stream = default_tls_connector().wrap(host, tcp).await.context("TLS")?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
         Sec-Fetch-Site: none\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.context("write")?;
    let mut answer = Vec::new();
    // A server that closes without a TLS close notification causes an error after the page was read: judge by the page.
    let read = stream.take(PAGE_BYTES).read_to_end(&mut answer).await;
    if answer.is_empty() {
        read.context("read")?;
    }
    page(&answer)
}

/// The body of an HTTP/1.1 answer.
fn page(answer: &[u8]) -> Result<String> {
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("no HTTP answer")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("HTTP status {status}");
    }
    let body = &answer[end + 4..];
    let chunked = head.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    let body = if chunked { join_chunks(body) } else { body.to_vec() };
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Joins the chunks until the last or an incomplete one.
fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|part| part == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]);
        let size = size.split(';').next().and_then(|hex| usize::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
        let Some(chunk) = rest.get(line + 2..line + 2 + size) else { break };
        if size == 0 {
            break;
        }
        body.extend_from_slice(chunk);
        rest = rest.get(line + 4 + size..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_body() {
        assert_eq!(page(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody").unwrap(), "body");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo\r\n\r\n2;x\r\ndy\r\n0\r\n\r\n";
        assert_eq!(page(chunked).unwrap(), "bo\r\ndy");
        assert!(page(b"HTTP/1.1 302 Found\r\n\r\n").is_err());
        assert!(page(b"nonsense").is_err());
    }
}
