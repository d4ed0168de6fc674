//! Posts one event to one receiver. The name is resolved here, each address is checked, and the connection goes to a
//! checked address: a name that resolves to another address a moment later cannot redirect it. A connection is kept for
//! the next requests to the same URL (`kept.rs`). No redirect is followed, no proxy is used, and only the status of
//! the answer is kept.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::webhook::address::Rules;
use domain::webhook::address::{self, may_reach};
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use process::clock;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::kept::{Kept, Open};
use super::lookup::Lookups;

/// The time limit from the name lookup to the end of the TLS handshake.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The time limit from the name lookup to the end of the answer.
const WHOLE_MAX: Duration = Duration::from_secs(10);
/// How many addresses of one name are tried.
const ADDRESSES: usize = 3;
/// How many bytes of an answer are read and discarded, so that the receiver can finish normally.
const ANSWER_BYTES: usize = 64 * 1024;

/// A request.
#[derive(Debug)]
pub struct Post<'a> {
    /// The receiver's URL.
    pub url: &'a str,
    /// The header `webhook-id`. It is the same at each attempt.
    pub id: &'a str,
    /// The header `webhook-timestamp`, in unix seconds.
    pub timestamp: i64,
    /// The header `webhook-signature`.
    pub signature: &'a str,
    /// The body, as JSON.
    pub body: String,
    /// The permit that the request uses. A name lookup that hangs keeps it beyond the attempt.
    pub place: Option<Arc<OwnedSemaphorePermit>>,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The receiver answered, but not with 2xx.
    Status(u16),
    /// As `Status`; the answer also named the wait before the next attempt.
    Later(u16, Duration),
    /// No answer within the time limit.
    Timeout,
    /// The name could not be resolved.
    Name,
    /// The URL or an address is forbidden.
    Address,
    /// The connection could not be opened.
    Connect,
    /// The TLS handshake failed, or the certificate is not valid.
    Tls,
    /// The connection broke, or the answer is not HTTP.
    Http,
}

impl Failure {
    /// The word in the row. A name that does not resolve and one that resolves to an internal address have the same
    /// word: otherwise a tenant could find out which names exist in our network.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Status(_) | Self::Later(..) => "status",
            Self::Timeout => "timeout",
            Self::Name | Self::Address => "address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Http => "http",
        }
    }

    /// The status, if there was an answer.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Status(status) | Self::Later(status, _) => Some(status),
            _ => None,
        }
    }

    /// The wait that the answer asked for.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Later(_, wait) => Some(wait),
            _ => None,
        }
    }
}

/// Posts events.
pub struct Sender {
    rules: Rules,
    tls: TlsConnector,
    lookups: Lookups,
    kept: Kept,
}

impl Sender {
    /// Creates a sender that trusts Mozilla's public certificate authorities.
    ///
    /// # Errors
    /// If the TLS library lacks a protocol version that it should have.
    pub fn new(rules: Rules) -> anyhow::Result<Self> {
        Self::trusting(rules, RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Creates a sender that trusts these authorities.
    ///
    /// # Errors
    /// If the TLS library lacks a protocol version that it should have.
    pub fn trusting(rules: Rules, roots: RootCertStore) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            rules,
            tls: TlsConnector::from(Arc::new(config)),
            lookups: Lookups::default(),
            kept: Kept::default(),
        })
    }

    /// Posts an event. Returns the status, which is a 2xx.
    ///
    /// # Errors
    /// If there was no such answer.
    pub async fn post(&self, post: Post<'_>) -> Result<u16, Failure> {
        // the operator's rules may be stricter now than when the URL was stored
        let url = address::url(post.url, &self.rules).map_err(|_| Failure::Address)?;
        let mut post = post;
        let place = post.place.take();
        let request = request(&url, post).map_err(|_| Failure::Http)?;
        let exchange = self.exchange(&url, request, place);
        let (status, wait) = tokio::time::timeout(WHOLE_MAX, exchange).await.map_err(|_| Failure::Timeout)??;
        match wait {
            _ if (200..300).contains(&status) => Ok(status),
            Some(wait) => Err(Failure::Later(status, wait)),
            None => Err(Failure::Status(status)),
        }
    }

    /// Probes the receiver with HEAD, without an event. Returns true for any status below 500 except 429, because most
    /// receivers accept only POST.
    pub async fn is_there(&self, url: &str, place: Option<Arc<OwnedSemaphorePermit>>) -> bool {
        let Ok(url) = address::url(url, &self.rules) else { return false };
        let Ok(request) = head(&url, Method::HEAD).body(Full::default()) else { return false };
        match tokio::time::timeout(CONNECT_MAX, self.exchange(&url, request, place)).await {
            Ok(Ok((status, _))) => status < 500 && status != 429,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Sends the request over a kept connection, if there is one, and otherwise over a new one. A receiver may have closed
    /// a kept connection at this very moment. So if there is no answer on it, the request goes out once more on a new one.
    async fn exchange(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        place: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Result<Answer, Failure> {
        if let Some(open) = self.kept.take(url).await
            && let Ok(answer) = self.answer(url, open, request.clone()).await
        {
            return Ok(answer);
        }
        let open = self.open(url, place).await?;
        self.answer(url, open, request).await
    }

    /// Sends the request and reads the answer. Keeps the connection if it can take another request.
    async fn answer(&self, url: &Url, mut open: Open, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let mut answer = open.sender.send_request(request).await.map_err(|_| Failure::Http)?;
        let (mut read, mut is_whole) = (0, false);
        while read <= ANSWER_BYTES {
            match answer.body_mut().frame().await {
                Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) => break,
                None => {
                    is_whole = true;
                    break;
                }
            }
        }
        let found = (answer.status().as_u16(), retry_after(answer.headers(), clock::now().into()));
        if is_whole {
            self.kept.keep(url, open);
        }
        Ok(found)
    }

    async fn open(&self, url: &Url, place: Option<Arc<OwnedSemaphorePermit>>) -> Result<Open, Failure> {
        let deadline = tokio::time::Instant::now() + CONNECT_MAX;
        let socket =
            tokio::time::timeout_at(deadline, self.connect(url, place)).await.map_err(|_| Failure::Timeout)??;
        if url.scheme() == "http" {
            return Open::on(socket).await.map_err(|_| Failure::Http);
        }
        let name = match url.host().ok_or(Failure::Address)? {
            Host::Domain(name) => {
                ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| Failure::Tls)?
            }
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::V4(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::V6(address)),
        };
        let handshake = tokio::time::timeout_at(deadline, self.tls.connect(name, socket)).await;
        let socket = handshake.map_err(|_| Failure::Timeout)?.map_err(|_| Failure::Tls)?;
        Open::on(socket).await.map_err(|_| Failure::Http)
    }

    /// Opens a connection to a checked address. If any address of a name is forbidden, the whole name is refused:
    /// mixing public and private addresses suggests an attack.
    async fn connect(&self, url: &Url, place: Option<Arc<OwnedSemaphorePermit>>) -> Result<TcpStream, Failure> {
        let port = url.port_or_known_default().ok_or(Failure::Address)?;
        let addresses: Vec<SocketAddr> = match url.host().ok_or(Failure::Address)? {
            Host::Domain(name) => {
                let name = name.to_owned();
                let look = move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
                self.lookups.run(place, look).await.and_then(Result::ok).ok_or(Failure::Name)?
            }
            Host::Ipv4(address) => vec![(address, port).into()],
            Host::Ipv6(address) => vec![(address, port).into()],
        };
        if addresses.iter().any(|address| !may_reach(address.ip(), &self.rules)) {
            return Err(Failure::Address);
        }
        let mut failure = Failure::Name;
        for address in addresses.into_iter().take(ADDRESSES) {
            match TcpStream::connect(address).await {
                Ok(socket) => {
                    let _ = socket.set_nodelay(true); // only a matter of speed
                    return Ok(socket);
                }
                Err(_) => failure = Failure::Connect,
            }
        }
        Err(failure)
    }
}

/// The common start of requests to a receiver.
fn head(url: &Url, method: Method) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("Switchboard/", env!("CARGO_PKG_VERSION")))
}

fn request(url: &Url, post: Post<'_>) -> http::Result<Request<Full<Bytes>>> {
    head(url, Method::POST)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", post.id)
        .header("webhook-timestamp", post.timestamp)
        .header("webhook-signature", post.signature)
        .body(Full::new(Bytes::from(post.body)))
}

/// The status, and the wait that the answer asked for.
type Answer = (u16, Option<Duration>);

/// Parses `Retry-After`: seconds, or a date in any of HTTP's three forms (RFC 9110, 10.2.3 and 5.6.7). A date in the
/// past means no wait.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match asked.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(asked).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// R97: a receiver may name the wait in seconds or as a date.
    #[test]
    fn a_wait_is_read_in_each_form() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap();
        for (text, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
            ("Sun Nov  6 08:49:37 1994", Some(37)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), wait.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
