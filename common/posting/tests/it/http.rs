//! Posting to receivers: what counts as delivered, what is refused, and that no receiver can hold a worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::webhook::address::Rules;
use posting::http::{Failure, Post, Sender};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// An authority of these tests, and a certificate and key for `localhost` that it signed; good for a hundred years.
const AUTHORITY: &[u8] = include_bytes!("authority.der");
const CERTIFICATE: &[u8] = include_bytes!("localhost.der");
const KEY: &[u8] = include_bytes!("localhost.key.der");

pub(crate) fn rules(networks: &[&str]) -> Rules {
    Rules { allow_private: networks.iter().map(|text| text.parse().unwrap()).collect(), allow_http: true }
}

fn local() -> Sender {
    Sender::new(rules(&["127.0.0.0/8"])).unwrap()
}

async fn post(sender: &Sender, url: &str) -> Result<u16, Failure> {
    let body = r#"{"kind":"webhook.test"}"#.to_owned();
    sender.post(Post { url, id: "some-id", timestamp: 1_700_000_000, signature: "v1,c2ln", body, place: None }).await
}

/// What one request looked like.
async fn read_request(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

async fn serve_one(mut socket: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let request = read_request(&mut socket).await;
    let _ = socket.write_all(answer).await;
    let _ = socket.shutdown().await;
    request
}

/// A receiver that gives one answer, byte by byte as given; and the request that it got.
async fn receiver(answer: &'static [u8]) -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, request) = oneshot::channel();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let _ = sender.send(serve_one(socket, answer).await);
    });
    (address, request)
}

/// R63: the request is the one that Standard Webhooks describes.
#[tokio::test]
async fn a_request_is_whole() {
    let (address, request) = receiver(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(post(&local(), &format!("http://{address}/a/b?c=d")).await, Ok(204));
    let request = request.await.unwrap();
    let lines: Vec<&str> = request.lines().collect();
    assert_eq!(lines[0], "POST /a/b?c=d HTTP/1.1");
    let host = format!("host: {address}");
    for line in [
        host.as_str(),
        "content-type: application/json",
        "content-length: 23",
        "webhook-id: some-id",
        "webhook-timestamp: 1700000000",
        "webhook-signature: v1,c2ln",
    ] {
        assert!(lines.contains(&line), "{line}: {request}");
    }
    assert!(request.ends_with("\r\n\r\n{\"kind\":\"webhook.test\"}"));
}

/// R113: requests to one URL that follow each other share a connection, and another URL has its own. A connection that
/// the receiver has closed costs no failure.
#[tokio::test]
async fn a_connection_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, mut connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (close, mut closed) = tokio::sync::oneshot::channel::<()>();
            opened.send(close).unwrap();
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        request = read_request(&mut socket) => {
                            if request.is_empty() { return }
                            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                        }
                        _ = &mut closed => return,
                    }
                }
            });
        }
    });
    let sender = local();
    let (one, other) = (format!("http://{address}/one"), format!("http://{address}/other"));
    for _ in 0..3 {
        assert_eq!(post(&sender, &one).await, Ok(200));
    }
    let first = connections.try_recv().unwrap();
    assert!(connections.try_recv().is_err(), "one connection for three requests");
    assert_eq!(post(&sender, &other).await, Ok(200));
    let _second = connections.try_recv().unwrap();
    drop(first);
    assert_eq!(post(&sender, &one).await, Ok(200));
    let mut third = connections.recv().await.unwrap();
    assert_eq!(post(&sender, &one).await, Ok(200));
    assert!(connections.try_recv().is_err());
    // what is not used for some seconds is closed, so that receivers need not keep it: this takes these seconds
    tokio::time::timeout(Duration::from_secs(20), third.closed()).await.unwrap();
}

/// R63: only a 2xx is a delivery; a redirect is an answer like any other, and is not followed.
#[tokio::test]
async fn only_a_2xx_is_a_delivery() {
    let table: [(&'static [u8], Result<u16, Failure>); 10] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok(200)),
        (b"HTTP/1.1 299 Whatever\r\n\r\n", Ok(299)),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            Err(Failure::Status(302)),
        ),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Err(Failure::Status(410))),
        (
            b"HTTP/1.1 429 Oh\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            Err(Failure::Later(429, Duration::from_secs(7))),
        ),
        (b"HTTP/1.1 503 Oh\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", Err(Failure::Status(503))),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Err(Failure::Status(500))),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut", Ok(200)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Err(Failure::Http)),
        (b"", Err(Failure::Http)),
    ];
    for (answer, expected) in table {
        let (address, _request) = receiver(answer).await;
        let ended = post(&local(), &format!("http://{address}/")).await;
        assert_eq!(ended, expected, "{}", String::from_utf8_lossy(answer));
    }
}

/// R63: what may not be reached is refused at the connection, too, whatever the name stood for when it was stored.
#[tokio::test]
async fn an_inner_address_is_refused_at_the_connection() {
    let (address, _request) = receiver(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let strict = Sender::new(Rules { allow_http: true, ..Rules::default() }).unwrap();
    assert_eq!(post(&strict, &format!("http://{address}/")).await, Err(Failure::Address));
    // a name that is accepted as such, and stands for an address that is not
    let other = Sender::new(rules(&["10.0.0.0/8"])).unwrap();
    assert_eq!(post(&other, &format!("http://localhost:{}/", address.port())).await, Err(Failure::Address));
    let https_only = Sender::new(Rules { allow_http: false, ..rules(&["127.0.0.0/8"]) }).unwrap();
    assert_eq!(post(&https_only, &format!("http://{address}/")).await, Err(Failure::Address));
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_said_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(post(&local(), &format!("http://{free}/")).await, Err(Failure::Connect));
    assert_eq!(post(&local(), "http://no-such-name.invalid/").await, Err(Failure::Name));
    assert_eq!(post(&local(), "no url").await, Err(Failure::Address));
}

/// R63: a receiver that takes the request and says nothing holds nobody for ever. This takes the ten seconds that it takes.
#[tokio::test]
async fn a_silent_receiver_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(20), post(&local(), &url)).await;
    assert_eq!(ended, Ok(Err(Failure::Timeout)));
}

/// R63: an answer without end is not read to its end.
#[tokio::test]
async fn an_endless_answer_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut sent = 0_usize;
        while socket.write_all(&[b'x'; 4_096]).await.is_ok() {
            sent += 4_096;
        }
        sent
    });
    assert_eq!(post(&local(), &url).await, Ok(200));
    let sent = serving.await.unwrap();
    assert!(sent < 64 * 1024 * 1024, "{sent}: it was cut, but for what the system's buffers hold");
}

/// R63: TLS with a certificate for this very name, from an authority that is trusted; nothing less.
#[tokio::test]
async fn a_certificate_must_be_good() {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(AUTHORITY)).unwrap();
    let trusting = Sender::trusting(rules(&["127.0.0.0/8", "::1/128"]), roots).unwrap();
    for (sender, host, expected) in [
        (&trusting, "localhost", Ok(200)),
        (&trusting, "127.0.0.1", Err(Failure::Tls)),
        (&local(), "127.0.0.1", Err(Failure::Tls)),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(socket) = acceptor().accept(socket).await {
                serve_one(socket, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        assert_eq!(post(sender, &format!("https://{host}:{port}/")).await, expected, "{host}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 1]).await;
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(post(&trusting, &format!("https://localhost:{port}/")).await, Err(Failure::Tls), "no TLS");
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificates = vec![CertificateDer::from(CERTIFICATE)];
    let key = PrivateKeyDer::try_from(KEY).unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(certificates, key).unwrap()))
}
