//! Groups: asking, posting, answering, and who may.

use serde_json::json;
use whatsapp_rust::types::presence::ReceiptType;

use crate::simulation::{Simulation, jid};

async fn group(simulation: &Simulation, owner: &str, members: &[&str]) -> String {
    let body = json!({ "subject": "Team", "owner": owner, "members": members });
    let group = simulation.make("/groups", body).await;
    group["jid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_member_reads_a_group_message_and_can_answer() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492001").await;
    let members = ["492002", "492003", "492004"];
    let group = group(&simulation, "492001", &members).await;
    let known = client.client.groups().get_participating().await.unwrap();
    assert_eq!(known.len(), 1);
    for round in 0..3 {
        let text = format!("to the group {round}");
        let id = client.send(&group, &text).await;
        assert_eq!(client.ack(&id).await, None);
        for member in members {
            let bubble = simulation.bubble(member, &id).await;
            assert_eq!(bubble["text"], text);
            assert_eq!(bubble["chat"], group);
            assert_eq!(bubble["kind"], "group");
            client.receipt(&id, ReceiptType::Read, &jid(member)).await;
        }
        assert_eq!(simulation.bubble("492001", &id).await["kind"], "own");
    }
    for round in 0..2 {
        let text = format!("answer {round}");
        let id = simulation.send("492003", &group, &text).await;
        let received = client.message(&id).await;
        assert_eq!(received.text, text);
        assert_eq!(received.chat, group);
        assert!(received.sender.starts_with("492003"));
        assert_eq!(simulation.bubble("492002", &id).await["text"], text);
    }
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["phones"]["undecryptable"], 0, "{stats}");
}

#[tokio::test]
async fn only_admins_post_in_an_announcement_group() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492011").await;
    let group = group(&simulation, "492012", &["492011"]).await;
    let id = client.send(&group, "before").await;
    assert_eq!(client.ack(&id).await, None);
    let path = format!("/groups/{group}");
    let (status, answer) = simulation.patch(&path, json!({ "announce": true })).await;
    assert_eq!((status, &answer["announce"]), (200, &json!(true)));
    let id = client.send(&group, "after").await;
    assert_eq!(client.ack(&id).await.as_deref(), Some("403"));
    let (status, _) = simulation.post("/phones/492011/send", json!({ "to": group, "text": "no" })).await;
    assert_eq!(status, 403);
    simulation.patch(&path, json!({ "promote": ["492011"] })).await;
    let id = client.send(&group, "as an admin").await;
    assert_eq!(client.ack(&id).await, None);
    simulation.bubble("492012", &id).await;
}

#[tokio::test]
async fn members_come_and_go() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492021").await;
    let group = group(&simulation, "492022", &["492021", "492023"]).await;
    let id = simulation.send("492022", &group, "three of us").await;
    client.message(&id).await;
    let path = format!("/groups/{group}");
    let change = json!({ "add": ["492024"], "remove": ["492023"] });
    let (status, answer) = simulation.patch(&path, change).await;
    assert_eq!(status, 200);
    assert_eq!(answer["members"].as_array().unwrap().len(), 3);
    let id = simulation.send("492022", &group, "without one").await;
    assert_eq!(client.message(&id).await.text, "without one");
    assert_eq!(simulation.bubble("492024", &id).await["text"], "without one");
    let inbox = simulation.get("/phones/492023/inbox").await;
    assert_eq!(inbox.as_array().unwrap().len(), 1, "{inbox}");
    let (status, _) = simulation.patch("/groups/1@g.us", json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_client_makes_a_group() {
    use whatsapp_rust::wacore::iq::groups::{GroupCreateOptions, GroupParticipantOptions};
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("492031").await;
    let member = GroupParticipantOptions::from_phone(jid("492032").parse().unwrap());
    let options = GroupCreateOptions::builder().subject("Made by a client").participants(vec![member]).build();
    client.client.groups().create_group(options).await.unwrap();
    let groups = simulation.get("/groups").await;
    let group = groups[0]["jid"].as_str().unwrap();
    assert_eq!(groups[0]["subject"], "Made by a client");
    let id = client.send(group, "welcome").await;
    assert_eq!(client.ack(&id).await, None);
    assert_eq!(simulation.bubble("492032", &id).await["text"], "welcome");
}
