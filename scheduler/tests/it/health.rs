//! What a scheduler says of itself while its database is away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kit::{Line, Proxy};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::house;

/// Status and text of an answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

/// Asks until it is ready, or not; it is alive all the while. Answers what it says.
async fn until_ready(address: SocketAddr, wanted: u16) -> String {
    let began = Instant::now();
    loop {
        assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
        let (status, text) = get(address, "/readyz").await;
        if status == wanted {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "still {status} {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// R60: with its database cut off, or silent, a scheduler is not ready, says so, and lives; it is ready again by itself.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_its_database_it_lives_and_is_not_ready(db: PgPool) {
    let mut url = db.connect_options().to_url_lossy();
    let far = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let line = Proxy::start(tokio::net::lookup_host(far).await.unwrap().next().unwrap()).await.unwrap();
    url.set_ip_host(line.address().ip()).unwrap();
    url.set_port(Some(line.address().port())).unwrap();
    let config = house::config(url.as_str());
    let listener = TcpListener::bind(config.ops.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(scheduler::run(config, listener, stop.clone()));

    until_ready(address, 200).await;
    line.set(Line::Cut);
    let says = until_ready(address, 503).await;
    assert!(says.starts_with("Postgres at ") || says == "no answer within 2 s\n", "{says}");
    line.set(Line::Through);
    until_ready(address, 200).await;
    line.set(Line::Silent);
    until_ready(address, 503).await;
    line.set(Line::Through);
    until_ready(address, 200).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), scheduler).await.unwrap().unwrap().unwrap();
}
