//! Linking: by QR code, by pairing code, and what must not link.

use serde_json::json;

use crate::client::Store;
use crate::simulation::Simulation;

#[tokio::test]
async fn a_qr_code_links_and_the_client_connects() {
    let simulation = Simulation::start().await;
    let client = simulation.linked("491701").await;
    let own = client.client.pn().unwrap();
    assert_eq!((own.user.as_str(), own.device), ("491701", 1));
    let phone = simulation.get("/phones/491701").await;
    let device = &phone["linked_devices"][0];
    assert_eq!(device["device"], 1);
    assert_eq!(device["connected"], true);
    // The phone has used one to share its app-state key.
    assert_eq!(device["one_time_keys"], 19);
    assert_eq!(phone["sockets_now"], 1);
    simulation.simulator.stop().await.unwrap();
}

#[tokio::test]
async fn an_eight_character_code_links_too() {
    let simulation = Simulation::start().await;
    let store = Store::new();
    let mut client = store.connect_with_code(simulation.simulator.addr, "491702000").await;
    let code = client.code().await;
    let path = "/phones/491702000/enter-code";
    let linked = simulation.make(path, json!({ "code": code })).await;
    assert_eq!(linked["device_jid"], "491702000:1@s.whatsapp.net");
    client.connected().await;
}

#[tokio::test]
async fn a_wrong_code_is_found_out() {
    let simulation = Simulation::start().await;
    let store = Store::new();
    let mut client = store.connect_with_code(simulation.simulator.addr, "491703000").await;
    let code = client.code().await;
    let wrong = if code.starts_with('A') { "BBBBBBBB" } else { "AAAAAAAA" };
    let path = "/phones/491703000/enter-code";
    let (status, answer) = simulation.post(path, json!({ "code": wrong })).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("wrong code"));
    let linked = simulation.make(path, json!({ "code": code })).await;
    assert_eq!(linked["number"], "491703000");
    client.connected().await;
}

#[tokio::test]
async fn a_qr_code_with_another_key_is_refused() {
    let simulation = Simulation::start().await;
    let addr = simulation.simulator.addr;
    let mut one = Store::new().connect(addr).await;
    let mut other = Store::new().connect(addr).await;
    let (one, other) = (one.qr().await, other.qr().await);
    let reference = one.split(',').next().unwrap();
    let rest = other.split_once(',').unwrap().1;
    let (status, answer) = simulation.scan("491704", &format!("{reference},{rest}")).await;
    assert_eq!(status, 422);
    assert!(answer["error"].as_str().unwrap().contains("noise key"));
    let unknown = format!("2@nobody,{rest}");
    let (status, answer) = simulation.scan("491704", &unknown).await;
    assert_eq!(status, 422);
    assert!(answer["error"].as_str().unwrap().contains("unknown"));
}

#[tokio::test]
async fn a_client_of_the_same_name_comes_back_to_its_phone() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491705").await;
    let store = client.store.clone();
    assert_eq!(simulation.delete("/phones/491705/devices/1").await, 204);
    client.logged_out().await;
    client.stop().await;
    let mut again = store.renewed().connect(simulation.simulator.addr).await;
    let qr = again.qr().await;
    let linked = simulation.scan_any(&qr).await;
    assert_eq!(linked["device_jid"], "491705:2@s.whatsapp.net");
    again.connected().await;
}
