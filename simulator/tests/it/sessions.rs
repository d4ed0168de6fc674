//! Sessions: coming back, being replaced, logging out, being unlinked; and the audit that saw it.

use whatsapp_rust::types::events::Event;

use crate::simulation::Simulation;

#[tokio::test]
async fn a_client_comes_back_by_ik() {
    let simulation = Simulation::start().await;
    let addr = simulation.simulator.addr;
    let store = simulation.linked("491801").await.stop().await;
    let mut again = store.connect(addr).await;
    again.connected().await;
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["handshakes"]["xx"], 2, "{stats}");
    assert_eq!(stats["handshakes"]["ik"], 1, "{stats}");
    let audit = simulation.get("/audit?number=491801").await;
    assert_eq!(audit["overlap_count"], 0, "{audit}");
    assert_eq!(audit["devices"][0]["sockets"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_login_replaces_the_first() {
    let simulation = Simulation::start().await;
    let mut first = simulation.linked("491802").await;
    let mut second = first.store.connect(simulation.simulator.addr).await;
    second.connected().await;
    first.find("StreamReplaced", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    let audit = simulation
        .until("/audit?number=491802", |audit| {
            let reason = &audit["devices"][0]["sockets"][0]["close_reason"];
            (reason == "replaced").then(|| audit.clone())
        })
        .await;
    let overlaps = &audit["devices"][0]["overlaps"];
    assert_eq!(audit["overlap_count"], 1, "{audit}");
    assert_eq!(overlaps[0]["ended_by"], "replaced");
    assert!(overlaps[0]["lasted_us"].as_u64().unwrap() < 1_000_000);
}

#[tokio::test]
async fn a_client_logs_itself_out() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491803").await;
    client.client.logout().await;
    client.logged_out().await;
    let phone = simulation.get("/phones/491803").await;
    assert_eq!(phone["linked_devices"].as_array().unwrap().len(), 0);
    let mut again = client.store.connect(simulation.simulator.addr).await;
    let on_connect = again
        .find("LoggedOut", |event| match event {
            Event::LoggedOut(out) => Some(out.on_connect),
            _ => None,
        })
        .await;
    assert!(on_connect);
}

#[tokio::test]
async fn a_phone_unlinks_its_client() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491804").await;
    assert_eq!(simulation.delete("/phones/491804/devices/1").await, 204);
    client.logged_out().await;
    assert_eq!(simulation.delete("/phones/491804/devices/1").await, 404);
    let mut again = client.store.connect(simulation.simulator.addr).await;
    again.logged_out().await;
}
