//! Pairing, connecting again, and what is left in the store.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;
use worker::link::{CloseReason, LinkEvent};

use super::house::House;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_phone_scans_the_code_and_the_next_link_is_online(pool: PgPool) {
    let house = House::new(pool).await;
    let fence = house.account().await;
    let mut line = house.open(fence).await;
    let code = line.qr().await;
    house.scan("491511", &code).await;
    let number = line
        .find("Paired", |event| match event {
            LinkEvent::Paired { number, .. } => Some(number.clone()),
            _ => None,
        })
        .await;
    assert_eq!(number, "491511");
    assert_eq!(line.closed().await, CloseReason::RestartRequired);

    let start = Instant::now();
    let mut line = house.open(fence).await;
    let (number, lid, push_name) = line
        .find("Connected", |event| match event {
            LinkEvent::Connected { number, lid, push_name, .. } => {
                Some((number.clone(), lid.clone(), push_name.clone()))
            }
            _ => None,
        })
        .await;
    println!("first login: {:?}", start.elapsed());
    assert_eq!((number.as_str(), push_name.as_str()), ("491511", "Front desk"));
    assert!(lid.is_some_and(|lid| lid.ends_with("@lid")));
    line.link.close().await;
    assert_eq!(line.closed().await, CloseReason::Requested);
    line.link.close().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn another_worker_resumes_from_postgres_alone(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491512").await;
    line.link.send_text("491600@s.whatsapp.net", "3EB0A", "one").await.unwrap();
    assert_eq!(line.ack("3EB0A").await, None);
    line.link.close().await;
    assert_eq!(line.closed().await, CloseReason::Requested);

    let fence = house.claim(fence).await;
    let mut took = Vec::new();
    for round in 0..5 {
        let start = Instant::now();
        let mut line = house.open(fence).await;
        assert_eq!(line.connected().await, "491512");
        took.push(start.elapsed());
        let id = format!("3EB0B{round}");
        line.link.send_text("491600@s.whatsapp.net", &id, "again").await.unwrap();
        assert_eq!(line.ack(&id).await, None);
        assert_eq!(house.bubbles("491600", &id).await[0]["text"], "again");
        line.link.close().await;
        assert_eq!(line.closed().await, CloseReason::Requested);
    }
    println!("resume: {took:?}");
    let stats = house.get("/stats").await;
    assert!(stats["handshakes"]["ik"].as_u64().unwrap() >= 4, "the certificate is kept: {stats}");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_phone_takes_a_pairing_code(pool: PgPool) {
    let house = House::new(pool).await;
    let fence = house.account().await;
    let mut line = house.open(fence).await;
    let code = line.link.pairing_code("+49 1513 0000").await.unwrap();
    assert_eq!(code.chars().filter(char::is_ascii_alphanumeric).count(), 8);
    house.post("/phones/4915130000/enter-code", json!({ "code": code })).await;
    assert_eq!(line.closed().await, CloseReason::RestartRequired);
    let mut line = house.open(fence).await;
    assert_eq!(line.connected().await, "4915130000");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nobody_listens_at_the_address(pool: PgPool) {
    let house = House::new(pool).await;
    let fence = house.account().await;
    let House { simulator, pool, .. } = house;
    let addr = simulator.addr;
    simulator.stop().await.unwrap();
    let house = House::new(pool).await;
    let settings = worker::link::whatsapp::Settings {
        url: format!("ws://{addr}/ws/chat"),
        version: worker::link::whatsapp::version::WebVersion::fixed((2, 3000, 1)),
        pre_keys: 20,
    };
    let keys = "a:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let sealer = std::sync::Arc::new(store::seal::Sealer::parse(keys).unwrap());
    let connector = worker::link::whatsapp::WhatsApp::new(house.store.clone(), sealer, settings).unwrap();
    let (events, inbox) = worker::link::channel();
    let spec =
        worker::link::OpenSpec { fence, serial: 7, label: "x".to_owned(), may_act: worker::link::MayAct::always() };
    let link = worker::link::Connector::open(&connector, spec, events).await.unwrap();
    let mut line = super::house::Line { link, inbox };
    let reason = line.closed().await;
    assert!(matches!(&reason, CloseReason::Dropped(why) if why.contains("could not connect")), "{reason:?}");
    tokio::time::sleep(Duration::from_millis(10)).await;
}
