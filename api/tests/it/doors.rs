//! Strangers at the doors: they need no key to open a connection, and hold nobody up.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::test_api::TestApi;

/// What comes until the other side closes.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// R82: with three hundred silent sockets at each port, health and a tenant are answered, from the same address.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn silent_sockets_hold_nobody_up(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let mut silent = Vec::new();
    for address in [api.ops_address, api.address] {
        for number in 0..300 {
            let mut socket = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                socket.write_all(b"GET /livez HTT").await.unwrap();
            }
            silent.push(socket);
        }
    }
    let asked = Instant::now();
    api.ops().get("/livez").await.expect(200);
    api.ops().get("/metrics").await.expect(200);
    api.anonymous().get("/health").await.expect(200);
    tenant.get("/v1/accounts").await.expect(200);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    // each of them is closed in time
    let opened = Instant::now();
    for socket in &mut silent {
        let left = Duration::from_secs(14).saturating_sub(opened.elapsed());
        let said = tokio::time::timeout(left, rest_of(socket)).await.expect("it is closed in time");
        assert_eq!(said, "", "nothing is answered to half a request");
    }
}

/// R82: a body that does not come is 408.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_slow_body_is_told_so(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let mut socket = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{{\"label\"",
        tenant.key().unwrap()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let said =
        tokio::time::timeout(Duration::from_secs(20), rest_of(&mut socket)).await.expect("it is answered in time");
    let said = said.to_lowercase();
    assert!(said.starts_with("http/1.1 408 ") && said.contains("application/problem+json"), "{said}");
    assert!(said.contains("connection: close") && said.contains("urn:switchboard:problem:slow-body"), "{said}");
}
