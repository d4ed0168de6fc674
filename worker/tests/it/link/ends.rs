//! The ways in which a link ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sqlx::PgPool;
use store::keys;
use store::seal::Sealer;
use worker::link::{CloseReason, Connector as _, LinkError, MayAct, OpenSpec, SendError, channel};

use super::house::{House, Line};

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_write_after_a_claim_ends_the_link(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491531").await;
    line.link.send_text("491800@s.whatsapp.net", "F0", "warm").await.unwrap();
    assert_eq!(line.ack("F0").await, None);
    let next = house.claim(fence).await;
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials").fetch_one(&house.pool).await.unwrap();
    let start = Instant::now();
    // a new contact needs a session, which would have to be stored, so it is refused
    let _ = line.link.send_text("491801@s.whatsapp.net", "F1", "late").await;
    assert_eq!(line.closed().await, CloseReason::Fenced);
    println!("fenced after {:?}", start.elapsed());
    let after: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials").fetch_one(&house.pool).await.unwrap();
    assert_eq!(before, after, "a stale owner writes nothing");
    assert_eq!(line.link.send_text("491801@s.whatsapp.net", "F2", "x").await, Err(SendError::NotConnected));
    let mut line = house.open(next).await;
    line.connected().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_second_connection_replaces_the_first(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut first) = house.linked("491532").await;
    let mut second = house.open(fence).await;
    second.connected().await;
    assert_eq!(first.closed().await, CloseReason::Replaced);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn logging_out_unlinks_the_device(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491533").await;
    line.link.logout().await.unwrap();
    assert_eq!(line.closed().await, CloseReason::Requested);
    assert_eq!(house.get("/phones/491533").await["linked_devices"].as_array().unwrap().len(), 0);
    // the keys still exist, but are of no use
    let mut line = house.open(fence).await;
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::LoggedOut { .. }), "{reason:?}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_phone_unlinks_the_device(pool: PgPool) {
    let house = House::new(pool).await;
    let (_, mut line) = house.linked("491534").await;
    house.fault("logout_device", "491534", None).await;
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::LoggedOut { .. }), "{reason:?}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
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

#[sqlx::test(migrator = "store::MIGRATOR")]
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

#[sqlx::test(migrator = "store::MIGRATOR")]
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

/// R04: a record under a key that this worker does not have ends the link, and nothing is deleted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_unknown_key_ends_the_link(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491538").await;
    line.link.send_text("491801@s.whatsapp.net", "F0", "hello").await.unwrap();
    assert_eq!(line.ack("F0").await, None);
    line.link.close().await;
    let mut line = house.open(fence).await;
    line.connected().await;
    let key = |id: &str, byte: u8| format!("{id}:{}", STANDARD.encode([byte; 32]));
    let sealer = Sealer::parse(&format!("{},{}", key("b", 8), key("a", 7))).unwrap();
    let start = keys::Place::start();
    let reseal = || keys::reseal(house.store.for_all_tenants(), &sealer, &start, 10_000);
    reseal().await.unwrap();
    let all = "SELECT kind || name FROM credentials";
    let before: Vec<String> = sqlx::query_scalar(all).fetch_all(&house.pool).await.unwrap();
    // the session with this contact is only in the store
    let _ = line.link.send_text("491801@s.whatsapp.net", "F1", "again").await;
    let reason = line.closed().await;
    assert_eq!(reason, CloseReason::UnknownKey("b".to_owned()));
    let after: Vec<String> = sqlx::query_scalar(all).fetch_all(&house.pool).await.unwrap();
    assert!(before.iter().all(|record| after.contains(record)), "what can't be read is not deleted");
    // the next connection does not even begin
    let key_of_the_device = "SELECT key_id FROM credentials WHERE kind = 1";
    while sqlx::query_scalar::<_, String>(key_of_the_device).fetch_one(&house.pool).await.unwrap() != "b" {
        reseal().await.unwrap();
    }
    let (events, _inbox) = channel();
    let spec = OpenSpec { fence, serial: 7, label: "Front desk".to_owned(), may_act: MayAct::always() };
    let refused = house.worker().open(spec, events).await.err();
    assert_eq!(refused, Some(LinkError::UnknownKey("b".to_owned())));
}

async fn clear(house: &House) {
    let url = format!("{}/faults", house.simulator.admin_url());
    reqwest::Client::new().delete(url).send().await.unwrap();
}

/// R108: a worker whose right has run out sends nothing more, even if it was frozen in the middle of a login. No socket
/// of it is logged in, and no text leaves it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_may_not_act_says_nothing(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, line) = house.linked("491701").await;
    line.link.close().await;
    house.post("/phones", json!({"number": "491702"})).await;
    let holds = Arc::new(AtomicBool::new(false));
    let may_act = || {
        let holds = Arc::clone(&holds);
        MayAct::when(move || holds.load(Ordering::Relaxed))
    };
    let open = async || {
        let (events, inbox) = channel();
        let spec = OpenSpec { fence, serial: 7, label: "Front desk".to_owned(), may_act: may_act() };
        Line { link: house.worker().open(spec, events).await.unwrap(), inbox }
    };
    let logins = async || house.get("/audit").await.to_string().matches("\"login_ok_at_us\":1").count();
    let before = logins().await;
    let reason = open().await.closed().await;
    assert!(matches!(reason, CloseReason::Dropped(_)), "{reason:?}");
    assert_eq!(logins().await, before, "nothing was logged in");

    holds.store(true, Ordering::Relaxed);
    let mut line = open().await;
    line.connected().await;
    assert_eq!(logins().await, before + 1);
    holds.store(false, Ordering::Relaxed);
    assert!(line.link.send_text("491702@s.whatsapp.net", "LATE", "too late").await.is_err());
    holds.store(true, Ordering::Relaxed);
    let inbox = house.get("/phones/491702/inbox").await;
    assert!(!inbox.to_string().contains("LATE"), "{inbox}");
}
