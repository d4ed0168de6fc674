//! Health, from the first moment of a process to the last.

use std::net::Ipv4Addr;

use process::serving::Serving;
use process::telemetry::metrics::Component;
use tokio_util::sync::CancellationToken;

/// R60: health is served from the first moment to the last: who was told to stop says so, and is gone with its end.
#[tokio::test]
async fn health_is_served_until_the_end() {
    let ops = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, stop) = (ops.local_addr().unwrap(), CancellationToken::new());
    let (serving, startup) = Serving::begin(Component::Scheduler, ops, &stop);
    let ready = async || process::probe::Probe { live: false }.ask(address).await.map_err(|error| error.to_string());
    assert!(ready().await.unwrap_err().ends_with("/readyz: starting: just begun"));
    startup.up(std::sync::Arc::new(|| Box::pin(async { Ok(()) })));
    ready().await.unwrap();
    stop.cancel();
    tokio::task::yield_now().await;
    assert!(ready().await.unwrap_err().ends_with("/readyz: stopping"));
    process::probe::Probe { live: true }.ask(address).await.unwrap();
    serving.end();
    tokio::task::yield_now().await;
    assert!(ready().await.unwrap_err().contains("nothing listens"));
}
