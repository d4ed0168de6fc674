//! The HTTP client for the collector: OTLP over HTTP, with one connection per batch. It runs on the exporter's own
//! thread and never on the serving runtime, so that a slow collector delays nothing but spans.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

/// The time limit from the connection to the end of the answer.
const WHOLE_MAX: Duration = Duration::from_secs(10);
/// The limit of an answer. It says how much was rejected, if anything; more is not read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Posts batches. Trusts Mozilla's public certificate authorities.
#[derive(Clone)]
pub struct Line {
    tls: TlsConnector,
    runtime: Arc<Mutex<Option<Runtime>>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// Creates the client. It opens no connection before the first batch.
    ///
    /// # Errors
    /// If the TLS library lacks a protocol version that it should have.
    pub fn new() -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), runtime: Arc::default() })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri();
        let host = uri.host().ok_or("the endpoint names no host")?.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let socket = TcpStream::connect((host.as_str(), port)).await?;
        if secure {
            let socket = self.tls.connect(ServerName::try_from(host)?, socket).await?;
            return exchange(socket, request).await;
        }
        exchange(socket, request).await
    }
}

#[async_trait]
impl HttpClient for Line {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // created and dropped on the exporter's thread: a runtime cannot be dropped within another one
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match &mut *runtime {
            Some(runtime) => runtime,
            none => none.insert(Builder::new_current_thread().enable_all().build()?),
        };
        runtime.block_on(async { tokio::time::timeout(WHOLE_MAX, self.post(request)).await? })
    }
}

async fn exchange<S>(socket: S, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or("the endpoint names no host")?.as_str();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).parse()?;
    head.headers.insert(hyper::header::HOST, host);
    head.uri = head.uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(Request::from_parts(head, Full::new(body))).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // the connection may end before the answer was read
        _ = connection => exchange.await,
    }
}
