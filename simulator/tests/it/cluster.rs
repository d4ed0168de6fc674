//! The world as a whole: many clients at once, and a restart.

use simulator::Config;
use tokio::task::JoinSet;

use crate::client::Store;
use crate::simulation::{Simulation, jid};

const CLIENTS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_pair_at_once() {
    let simulation = std::sync::Arc::new(Simulation::start().await);
    let mut linking = JoinSet::new();
    for count in 0..CLIENTS {
        let simulation = simulation.clone();
        linking.spawn(async move { simulation.linked(&format!("4922{count:04}")).await });
    }
    let clients = linking.join_all().await;
    assert_eq!(clients.len(), CLIENTS);
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["logged_in"], CLIENTS, "{stats}");
    assert_eq!(stats["pairings"], CLIENTS, "{stats}");
    assert_eq!(stats["unknown_iqs"], serde_json::json!({}), "{stats}");
    let audit = simulation.get("/audit").await;
    assert_eq!(audit["overlap_count"], 0);
}

#[tokio::test]
async fn the_world_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { world: Some(directory.path().join("world.json")), ..Config::default() };
    let simulation = Simulation::with(config.clone()).await;
    let mut client = simulation.linked("492301").await;
    let sent = client.send(&jid("492302"), "before").await;
    simulation.bubble("492302", &sent).await;
    let answer = simulation.send("492302", "492301", "answer").await;
    client.message(&answer).await;
    let group = serde_json::json!({ "subject": "Kept", "owner": "492301", "members": ["492302"] });
    let group = simulation.make("/groups", group).await;
    let group = group["jid"].as_str().unwrap().to_owned();
    let to_group = client.send(&group, "to the group").await;
    simulation.bubble("492302", &to_group).await;
    let store = client.stop().await;
    let stored = simulation.send("492302", "492301", "stored").await;
    simulation.simulator.stop().await.unwrap();

    let simulation = Simulation::with(config).await;
    let mut client = store.connect(simulation.simulator.addr).await;
    client.connected().await;
    assert_eq!(client.message(&stored).await.text, "stored");
    assert_eq!(simulation.bubble("492302", &sent).await["text"], "before");
    let id = client.send(&jid("492302"), "after").await;
    assert_eq!(simulation.bubble("492302", &id).await["text"], "after");
    let id = client.send(&group, "to the group again").await;
    assert_eq!(simulation.bubble("492302", &id).await["text"], "to the group again");
    let id = simulation.send("492302", &group, "and back").await;
    assert_eq!(client.message(&id).await.text, "and back");
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["handshakes"]["ik"], 1, "{stats}");
    assert_eq!(stats["phones"]["undecryptable"], 0, "{stats}");
}

#[tokio::test]
async fn a_new_server_key_is_met_by_falling_back() {
    let store = {
        let simulation = Simulation::start().await;
        simulation.linked("492303").await.stop().await
    };
    // Another world does not know the device, but its refusal can only be read after a handshake.
    let other = Simulation::start().await;
    let mut client = store.connect(other.simulator.addr).await;
    client.logged_out().await;
    let stats = other.get("/stats").await;
    assert_eq!(stats["logins_refused"], 1, "{stats}");
}

#[tokio::test]
async fn a_phone_that_cannot_read_asks_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("world.json");
    let config = Config { world: Some(file.clone()), ..Config::default() };
    let simulation = Simulation::with(config.clone()).await;
    let mut client = simulation.linked("492304").await;
    let first = client.send(&jid("492305"), "first").await;
    simulation.bubble("492305", &first).await;
    let answer = simulation.send("492305", "492304", "answer").await;
    client.message(&answer).await;
    let second = client.send(&jid("492305"), "second").await;
    simulation.bubble("492305", &second).await;
    let store = client.stop().await;
    simulation.simulator.stop().await.unwrap();
    // The phone loses its sessions, as after a restore from an old backup.
    let mut world: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for account in world["accounts"].as_array_mut().unwrap() {
        account["phone"]["sessions"] = serde_json::json!({});
    }
    std::fs::write(&file, serde_json::to_vec(&world).unwrap()).unwrap();

    let simulation = Simulation::with(config).await;
    let mut client = store.connect(simulation.simulator.addr).await;
    client.connected().await;
    let id = client.send(&jid("492305"), "can you read this?").await;
    let bubble = simulation.bubble("492305", &id).await;
    assert_eq!(bubble["text"], "can you read this?");
    assert_eq!(bubble["times_arrived"], 1);
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["phones"]["retries_asked"].as_u64().map(|n| n > 0), Some(true));
}

#[tokio::test]
async fn a_client_that_cannot_read_gets_it_again() {
    let simulation = Simulation::start().await;
    let addr = simulation.simulator.addr;
    let mut client = simulation.linked("492306").await;
    let first = simulation.send("492307", "492306", "first").await;
    client.message(&first).await;
    let store = client.stop().await;
    let phone = simulation.get("/phones/492307").await;
    let lid = phone["lid"].as_str().unwrap().parse().unwrap();
    let number = jid("492307").parse().unwrap();
    store.lose_sessions(&[lid, number]).await;
    let mut client = store.connect(addr).await;
    client.connected().await;
    let id = client.send(&jid("492307"), "my session is gone").await;
    simulation.bubble("492307", &id).await;
    let lost = simulation.send("492307", "492306", "can you read me?").await;
    assert_eq!(client.message(&lost).await.text, "can you read me?");
}

#[tokio::test]
async fn reset_forgets_the_world() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492308").await;
    simulation.make("/reset", serde_json::json!({})).await;
    client.logged_out().await;
    assert_eq!(simulation.get("/phones").await, serde_json::json!([]));
    let mut fresh = Store::new().connect(simulation.simulator.addr).await;
    let qr = fresh.qr().await;
    assert_eq!(simulation.scan("492308", &qr).await.0, 200);
}
