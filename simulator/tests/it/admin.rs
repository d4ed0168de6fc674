//! The admin API's manners: statuses, errors as JSON, limits.

use serde_json::json;

use crate::simulation::Simulation;

#[tokio::test]
async fn phones_are_made_once_and_changed() {
    let simulation = Simulation::start().await;
    let new = json!({ "number": "492401", "name": "Ada" });
    assert_eq!(simulation.post("/phones", new.clone()).await.0, 201);
    let changed = json!({ "number": "492401", "name": "Ada L.", "auto_receipts": "none" });
    let (status, phone) = simulation.post("/phones", changed).await;
    assert_eq!(status, 200);
    assert_eq!(phone["name"], "Ada L.");
    assert_eq!(phone["auto_receipts"], "none");
    assert!(phone["lid"].as_str().unwrap().ends_with("@lid"));
    let phones = simulation.get("/phones").await;
    assert_eq!(phones.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refusals_are_json_with_a_status() {
    let simulation = Simulation::start().await;
    let cases = [
        ("/phones", json!({ "number": "0001", "name": "x" }), 422),
        ("/phones", json!({ "number": "abc", "name": "x" }), 422),
        ("/phones", json!({ "name": "x" }), 422),
        ("/phones", json!({ "number": "49240", "colour": "red" }), 422),
        ("/faults", json!({ "kind": "earthquake" }), 422),
        ("/phones/492402/enter-code", json!({ "code": "12345678" }), 409),
        ("/phones/492402/enter-code", json!({ "code": "short" }), 409),
        ("/phones/492402/send", json!({ "to": "1@g.us", "text": "x" }), 404),
        ("/nowhere", json!({}), 404),
        ("/health", json!({}), 405),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = simulation.post(path, body).await;
        assert_eq!(status, expected, "{path} {answer}");
        assert!(answer["error"].is_string(), "{path} {answer}");
    }
    let (status, answer) = simulation.scan("492403", "no,qr").await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(simulation.delete("/phones/492404/devices/1").await, 404);
}

#[tokio::test]
async fn health_and_stats_answer_in_an_empty_world() {
    let simulation = Simulation::start().await;
    assert_eq!(simulation.get("/health").await, json!({ "status": "ok" }));
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["sockets"], 0);
    assert_eq!(stats["phones"]["count"], 0);
    let audit = simulation.get("/audit").await;
    assert_eq!(audit, json!({ "overlap_count": 0, "devices": [] }));
}

#[tokio::test]
async fn phones_talk_to_each_other() {
    let simulation = Simulation::start().await;
    let id = simulation.send("492405", "492406", "phone to phone").await;
    let bubble = simulation.bubble("492406", &id).await;
    assert_eq!(bubble["text"], "phone to phone");
    let since = bubble["decrypted_at_us"].as_u64().unwrap();
    let path = format!("/phones/492406/inbox?since={since}");
    assert_eq!(simulation.get(&path).await, json!([]));
}
