//! Direct messages, receipts, copies for own devices, and what waits for a client that is away.

use serde_json::json;
use whatsapp_rust::types::presence::ReceiptType;

use crate::simulation::{Simulation, jid};

#[tokio::test]
async fn a_message_is_acked_decrypted_delivered_and_read() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491901").await;
    let id = client.send(&jid("491902"), "hello").await;
    assert_eq!(client.ack(&id).await, None);
    let bubble = simulation.bubble("491902", &id).await;
    assert_eq!(bubble["text"], "hello");
    assert_eq!(bubble["kind"], "dm");
    assert_eq!(bubble["chat"], "491901");
    assert_eq!(bubble["sender_device"], 1);
    assert_eq!(bubble["times_arrived"], 1);
    assert!(bubble["decrypted_at_us"].as_u64() >= bubble["server_received_at_us"].as_u64());
    let from = jid("491902");
    client.receipt(&id, ReceiptType::Delivered, &from).await;
    client.receipt(&id, ReceiptType::Read, &from).await;
    // The account's own phone has its copy, in the chat of the other.
    let copy = simulation.bubble("491901", &id).await;
    assert_eq!(copy["kind"], "own");
    assert_eq!(copy["chat"], "491902");
}

#[tokio::test]
async fn a_phone_answers_and_both_talk_on() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491903").await;
    let first = client.send(&jid("491904"), "one").await;
    simulation.bubble("491904", &first).await;
    let answer = simulation.send("491904", "491903", "two").await;
    let received = client.message(&answer).await;
    assert_eq!(received.text, "two");
    assert_eq!(received.chat, jid("491904"));
    for round in 0..5 {
        let text = format!("round {round}");
        let id = client.send(&jid("491904"), &text).await;
        assert_eq!(simulation.bubble("491904", &id).await["text"], text);
        let id = simulation.send("491904", "491903", &text).await;
        assert_eq!(client.message(&id).await.text, text);
    }
    let stats = simulation.get("/stats").await;
    assert_eq!(stats["phones"]["undecryptable"], 0, "{stats}");
}

#[tokio::test]
async fn a_phone_can_speak_first() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491905").await;
    let id = simulation.send("491906", "491905", "first word").await;
    assert_eq!(client.message(&id).await.text, "first word");
    assert_eq!(simulation.bubble("491905", &id).await["text"], "first word");
    let id = client.send(&jid("491906"), "answer").await;
    assert_eq!(simulation.bubble("491906", &id).await["text"], "answer");
}

#[tokio::test]
async fn one_id_makes_one_bubble_that_counts() {
    let simulation = Simulation::start().await;
    let mut client = simulation.linked("491907").await;
    for _ in 0..3 {
        client.send_as(&jid("491908"), "again", "3EB0AAAA").await;
    }
    client.ack("3EB0AAAA").await;
    simulation.bubble_when("491908", "3EB0AAAA", |b| b["times_arrived"] == 3).await;
    let inbox = simulation.get("/phones/491908/inbox?chat=491907").await;
    assert_eq!(inbox.as_array().unwrap().len(), 1, "{inbox}");
}

#[tokio::test]
async fn clients_of_two_accounts_and_two_clients_of_one() {
    let simulation = Simulation::start().await;
    let mut one = simulation.linked("491909").await;
    let mut two = simulation.linked("491909").await;
    let mut other = simulation.linked("491910").await;
    let id = one.send(&jid("491910"), "to all of you").await;
    assert_eq!(one.ack(&id).await, None);
    assert_eq!(other.message(&id).await.text, "to all of you");
    let copy = two.message(&id).await;
    assert_eq!(copy.text, "to all of you");
    assert_eq!(copy.chat, jid("491910"));
    simulation.bubble("491910", &id).await;
}

#[tokio::test]
async fn what_came_while_the_client_was_away_comes_when_it_is_back() {
    let simulation = Simulation::start().await;
    let addr = simulation.simulator.addr;
    let store = simulation.linked("491911").await.stop().await;
    let mut ids = Vec::new();
    for count in 0..3 {
        let text = format!("stored {count}");
        ids.push(simulation.send("491912", "491911", &text).await);
    }
    let mut client = store.connect(addr).await;
    for (count, id) in ids.iter().enumerate() {
        let received = client.message(id).await;
        assert_eq!(received.text, format!("stored {count}"));
        assert!(received.offline);
    }
    client.connected().await;
    simulation.until("/phones/491911", |phone| (phone["linked_devices"][0]["queued_stanzas"] == 0).then_some(())).await;
}

#[tokio::test]
async fn a_phone_reads_when_it_is_told_to() {
    let simulation = Simulation::start().await;
    simulation.make("/phones", json!({ "number": "491914", "name": "Slow", "auto_receipts": "delivered" })).await;
    let mut client = simulation.linked("491913").await;
    let id = client.send(&jid("491914"), "read me").await;
    let from = jid("491914");
    client.receipt(&id, ReceiptType::Delivered, &from).await;
    assert_eq!(simulation.bubble("491914", &id).await["read"], false);
    let read = simulation.make("/phones/491914/read", json!({ "chat": "491913" })).await;
    assert_eq!(read["read"], 1);
    client.receipt(&id, ReceiptType::Read, &from).await;
}

#[tokio::test]
async fn who_is_on_whatsapp() {
    let simulation = Simulation::start().await;
    let client = simulation.linked("491915").await;
    let asked = ["491916", "000491917"].map(|number| jid(number).parse().unwrap());
    let found = client.client.contacts().is_on_whatsapp(&asked).await;
    let found = found.unwrap();
    let registered: Vec<_> = found.iter().map(|f| (f.jid.user.to_string(), f.is_registered)).collect();
    assert!(registered.contains(&("491916".to_owned(), true)), "{registered:?}");
    assert!(registered.contains(&("000491917".to_owned(), false)), "{registered:?}");
}
