//! What a scheduler says of itself while its database is away.

use std::time::Duration;

use kit::{Line, Proxy, reads};
use sqlx::{ConnectOptions as _, PgPool};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::house;

/// R60: with its database cut off, or silent, a scheduler is not ready, says so, and lives; it is ready again by itself.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_its_database_it_lives_and_is_not_ready(db: PgPool) {
    let (line, url) = Proxy::before(db.connect_options().to_url_lossy().as_str()).await.unwrap();
    let config = house::config(&url);
    let listener = TcpListener::bind(config.ops.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(scheduler::run(config, listener, stop.clone()));

    reads(address, 200, "").await;
    line.set(Line::Cut);
    let says = reads(address, 503, "").await;
    assert!(says.starts_with("Postgres at ") || says == "no answer within 2 s\n", "{says}");
    line.set(Line::Through);
    reads(address, 200, "").await;
    line.set(Line::Silent);
    reads(address, 503, "").await;
    line.set(Line::Through);
    reads(address, 200, "").await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), scheduler).await.unwrap().unwrap().unwrap();
}
