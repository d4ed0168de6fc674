//! Each fault, as the real client feels it.

use std::time::Duration;

use serde_json::json;
use whatsapp_rust::types::events::Event;

use crate::client::{Store, TestClient};
use crate::simulation::{Simulation, jid};

async fn reconnects(client: &mut TestClient) {
    client.connected().await;
}

/// Strikes the only client, whose connection ends, and expects it to come back by itself.
async fn strikes_and_it_comes_back(number: &str, order: serde_json::Value) {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked(number).await;
    client.forget();
    let fault = simulation.fault(order).await;
    assert_eq!(fault["fired"], 1, "{fault}");
    reconnects(&mut client).await;
    let audit = simulation.get(&format!("/audit?number={number}")).await;
    assert_eq!(audit["overlap_count"], 0, "{audit}");
}

#[tokio::test]
async fn drop_ends_the_connection() {
    let order = json!({ "kind": "drop", "target": { "number": "492101" } });
    strikes_and_it_comes_back("492101", order).await;
}

#[tokio::test]
async fn close_ends_it_politely() {
    strikes_and_it_comes_back("492102", json!({ "kind": "close", "count": 1 })).await;
}

#[tokio::test]
async fn a_stream_error_ends_it_with_a_code() {
    let order = json!({ "kind": "stream_error", "code": 515 });
    strikes_and_it_comes_back("492103", order).await;
}

#[tokio::test]
async fn a_fault_can_be_for_pairings_alone() {
    let simulation = Simulation::start().await;
    let linked = simulation.linked("492117").await;
    let order = json!({ "kind": "drop", "target": { "pairing": true } });
    assert_eq!(simulation.fault(order.clone()).await["fired"], 0);
    let mut pairing = Store::new().connect(simulation.simulator.addr).await;
    pairing.qr().await;
    assert_eq!(simulation.fault(order.clone()).await["fired"], 1);
    assert_eq!(simulation.get("/phones/492117").await["sockets_now"], 1);
    drop(linked);
}

#[tokio::test]
async fn silence_swallows_what_is_sent_and_passes() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492104").await;
    let first = client.send(&jid("492105"), "before").await;
    client.ack(&first).await;
    let order = json!({ "kind": "silence", "duration_ms": 1_500 });
    assert_eq!(simulation.fault(order).await["fired"], 1);
    let id = client.send(&jid("492105"), "into silence").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let acks = client.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == id));
    assert_eq!(acks, 0);
    assert_eq!(client.ack(&id).await, None);
}

#[tokio::test]
async fn acks_can_be_late() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492106").await;
    simulation.fault(json!({ "kind": "delay", "ms": 700 })).await;
    let started = tokio::time::Instant::now();
    let id = client.send(&jid("492107"), "slow").await;
    simulation.bubble("492107", &id).await;
    client.ack(&id).await;
    assert!(started.elapsed() >= Duration::from_millis(700));
    assert_eq!(simulation.fired().await, 1);
    assert_eq!(simulation.delete("/faults").await, 200);
}

#[tokio::test]
async fn logins_can_be_refused_for_a_while() {
    let simulation = Simulation::start().await;
    let store = simulation.linked("492108").await.stop().await;
    let order = json!({ "kind": "refuse_logins", "code": 503, "count": 1 });
    simulation.fault(order).await;
    let mut client = store.connect(simulation.simulator.addr).await;
    client.find("ConnectFailure", |event| matches!(event, Event::ConnectFailure(_)).then_some(())).await;
    client.connected().await;
    assert_eq!(simulation.fired().await, 1);
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["logins_refused"], 1);
}

#[tokio::test]
async fn logout_device_unlinks() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492109").await;
    let order = json!({ "kind": "logout_device", "target": { "number": "492109", "device": 1 } });
    assert_eq!(simulation.fault(order).await["fired"], 1);
    client.logged_out().await;
    let phone = simulation.get("/phones/492109").await;
    assert_eq!(phone["linked_devices"], json!([]));
}

#[tokio::test]
async fn replace_says_that_another_took_over() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492110").await;
    simulation.fault(json!({ "kind": "replace" })).await;
    client.find("StreamReplaced", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
}

#[tokio::test]
async fn a_ban_ends_the_connection_and_refuses_logins() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492111").await;
    let order = json!({ "kind": "temporary_ban", "code": 102, "expire_s": 60 });
    simulation.fault(order).await;
    let expire = |event: &Event| match event {
        Event::TemporaryBan(ban) => Some(ban.expire.num_seconds()),
        _ => None,
    };
    assert_eq!(client.find("TemporaryBan", expire).await, 60);
    let mut again = client.store.connect(simulation.simulator.addr).await;
    let left = again.find("TemporaryBan", expire).await;
    assert!((1..=60).contains(&left), "{left}");
}

#[tokio::test]
async fn a_swallowed_ack_is_swallowed_once() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492112").await;
    let order = json!({ "kind": "swallow_acks", "count": 1 });
    simulation.fault(order).await;
    let lost = client.send(&jid("492113"), "no ack").await;
    let heard = client.send(&jid("492113"), "an ack").await;
    simulation.bubble("492113", &lost).await;
    client.ack(&heard).await;
    let acks = client.count(|event| matches!(event, Event::ServerAck(ack) if ack.id == lost));
    assert_eq!(acks, 0);
    // Sent again under its id, it is acked, and the phone still shows it once.
    client.send_as(&jid("492113"), "no ack", &lost).await;
    assert_eq!(client.ack(&lost).await, None);
    simulation.bubble_when("492113", &lost, |b| b["times_arrived"] == 2).await;
    let faults = simulation.get("/faults").await;
    assert_eq!(faults[0]["fired"], 1);
    assert_eq!(faults[0]["active"], false);
}

#[tokio::test]
async fn an_error_ack_names_its_code() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492114").await;
    let order = json!({ "kind": "ack_error", "code": 463, "count": 1 });
    simulation.fault(order).await;
    let refused = client.send(&jid("492115"), "refused").await;
    assert_eq!(client.ack(&refused).await.as_deref(), Some("463"));
    let taken = client.send(&jid("492115"), "taken").await;
    assert_eq!(client.ack(&taken).await, None);
    simulation.bubble("492115", &taken).await;
    let inbox = simulation.get("/phones/492115/inbox").await;
    assert_eq!(inbox.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn qr_references_can_be_few_or_none() {
    let simulation = Simulation::start().await;
    let addr = simulation.simulator.addr;
    simulation.fault(json!({ "kind": "no_qr" })).await;
    let mut none = Store::new().connect(addr).await;
    simulation.until("/faults", |faults| (faults[0]["fired"] == 1).then_some(())).await;
    let codes = none.count(|event| matches!(event, Event::PairingQrCode(_)));
    assert_eq!(codes, 0);
    assert_eq!(simulation.delete("/faults").await, 200);
    simulation.fault(json!({ "kind": "qr_refs", "count": 1 })).await;
    let mut one = Store::new().connect(addr).await;
    let qr = one.qr().await;
    assert_eq!(simulation.fired().await, 1);
    assert_eq!(simulation.scan("492116", &qr).await.0, 200);
}
