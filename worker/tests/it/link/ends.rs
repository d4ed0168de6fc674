//! The ways in which a link ends.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use worker::link::{CloseReason, SendError};

use super::house::House;

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_write_after_a_claim_ends_the_link(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491531").await;
    line.link.send_text("491800@s.whatsapp.net", "F0", "warm").await.unwrap();
    assert_eq!(line.ack("F0").await, None);
    let next = house.claim(fence).await;
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials").fetch_one(&house.pool).await.unwrap();
    let start = Instant::now();
    // A new contact needs a session, which has to be stored: refused.
    let _ = line.link.send_text("491801@s.whatsapp.net", "F1", "late").await;
    assert_eq!(line.closed().await, CloseReason::Fenced);
    println!("fenced after {:?}", start.elapsed());
    let after: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials").fetch_one(&house.pool).await.unwrap();
    assert_eq!(before, after, "a stale owner writes nothing");
    assert_eq!(line.link.send_text("491801@s.whatsapp.net", "F2", "x").await, Err(SendError::NotConnected));
    let mut line = house.open(next).await;
    line.connected().await;
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_second_connection_replaces_the_first(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut first) = house.linked("491532").await;
    let mut second = house.open(fence).await;
    second.connected().await;
    assert_eq!(first.closed().await, CloseReason::Replaced);
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn logging_out_unlinks_the_device(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491533").await;
    line.link.logout().await.unwrap();
    assert_eq!(line.closed().await, CloseReason::Requested);
    assert_eq!(house.get("/phones/491533").await["linked_devices"].as_array().unwrap().len(), 0);
    // The keys are still there, and of no use.
    let mut line = house.open(fence).await;
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::LoggedOut { .. }), "{reason:?}");
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn the_phone_unlinks_the_device(pool: PgPool) {
    let house = House::new(pool).await;
    let (_, mut line) = house.linked("491534").await;
    house.fault("logout_device", "491534", None).await;
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::LoggedOut { .. }), "{reason:?}");
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_lost_connection_and_a_restart(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491535").await;
    house.fault("drop", "491535", None).await;
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::Dropped(_)), "{reason:?}");
    let mut line = house.open(fence).await;
    line.connected().await;
    house.fault("stream_error", "491535", Some(515)).await;
    assert_eq!(line.closed().await, CloseReason::RestartRequired);
    let mut line = house.open(fence).await;
    line.connected().await;
    line.link.abort();
    assert_eq!(line.closed().await, CloseReason::Requested);
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn refused_logins(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, line) = house.linked("491536").await;
    line.link.close().await;
    house.fault("refuse_logins", "491536", Some(405)).await;
    assert_eq!(house.open(fence).await.closed().await, CloseReason::Outdated);
    clear(&house).await;
    house.fault("refuse_logins", "491536", Some(503)).await;
    assert_eq!(house.open(fence).await.closed().await, CloseReason::Refused { code: 503 });
    clear(&house).await;
    let ban =
        serde_json::json!({ "kind": "temporary_ban", "target": { "number": "491536" }, "code": 104, "expire_s": 60 });
    house.post("/faults", ban).await;
    let CloseReason::Banned { code: 104, expires_in } = house.open(fence).await.closed().await else {
        panic!("not banned")
    };
    assert!((55..=60).contains(&expires_in.as_secs()), "{expires_in:?}");
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn a_dropped_handle_drops_the_socket(pool: PgPool) {
    let house = House::new(pool).await;
    let (_, line) = house.linked("491537").await;
    let super::house::Line { link, mut inbox } = line;
    drop(link);
    let last = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            if let Some(worker::link::Delivery { event: worker::link::LinkEvent::Closed(reason), .. }) =
                inbox.recv().await
            {
                return reason;
            }
        }
    });
    assert_eq!(last.await.unwrap(), CloseReason::Requested);
}

async fn clear(house: &House) {
    let url = format!("{}/faults", house.simulator.admin_url());
    reqwest::Client::new().delete(url).send().await.unwrap();
}
