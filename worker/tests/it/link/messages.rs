//! Sending, receiving, receipts, groups.

use serde_json::json;
use sqlx::PgPool;
use worker::link::{CloseReason, LinkEvent, MessageKind, ReceiptKind, SendError};

use super::house::House;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_text_arrives_once_and_its_receipts_come_back(pool: PgPool) {
    let house = House::new(pool).await;
    house.post("/phones", json!({ "number": "491700", "auto_receipts": "delivered" })).await;
    let (_, mut line) = house.linked("491521").await;
    for _ in 0..2 {
        // sent twice with one id, as after a crash
        line.link.send_text("491700@s.whatsapp.net", "3EB0C", "hello").await.unwrap();
        assert_eq!(line.ack("3EB0C").await, None);
    }
    let receipt = async |line: &mut super::house::Line, wanted: ReceiptKind| {
        line.find("receipt", |event| match event {
            LinkEvent::Receipt { whatsapp_ids, kind, chat, participant, .. } if *kind == wanted => {
                Some((whatsapp_ids.clone(), chat.clone(), participant.clone()))
            }
            _ => None,
        })
        .await
    };
    let expected = (vec!["3EB0C".to_owned()], "491700@s.whatsapp.net".to_owned(), None);
    assert_eq!(receipt(&mut line, ReceiptKind::Delivered).await, expected);
    let bubbles = house.bubbles("491700", "3EB0C").await;
    assert_eq!(bubbles.len(), 1);
    house.post("/phones/491700/read", json!({ "chat": bubbles[0]["chat"], "ids": ["3EB0C"] })).await;
    assert_eq!(receipt(&mut line, ReceiptKind::Read).await, expected);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_cannot_be_sent_says_so(pool: PgPool) {
    let house = House::new(pool).await;
    let (_, mut line) = house.linked("491522").await;
    assert!(matches!(line.link.send_text("nobody", "A1", "x").await, Err(SendError::Rejected(_))));
    house.fault("ack_error", "491522", Some(463)).await;
    line.link.send_text("491701@s.whatsapp.net", "A2", "x").await.unwrap();
    assert_eq!(line.ack("A2").await, Some(463));
    line.link.close().await;
    assert_eq!(line.link.send_text("491701@s.whatsapp.net", "A3", "x").await, Err(SendError::NotConnected));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_not_stored_is_handed_out_again(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, mut line) = house.linked("491523").await;
    house.post("/phones/491702/send", json!({ "to": "491523", "text": "please keep" })).await;
    let lost = loop {
        let delivery = line.inbox.recv().await.unwrap();
        if let LinkEvent::Messages(messages) = &delivery.event {
            break messages[0].whatsapp_id.clone(); // the commit is dropped here, so the message is not stored
        }
    };
    let reason = line.closed().await;
    assert!(matches!(reason, CloseReason::Dropped(_)), "{reason:?}");

    let mut line = house.open(fence).await;
    let message = line
        .find("the message", |event| match event {
            LinkEvent::Messages(messages) => Some(messages[0].clone()),
            _ => None,
        })
        .await;
    assert_eq!(message.whatsapp_id, lost);
    assert_eq!(message.text.as_deref(), Some("please keep"));
    assert_eq!((message.kind, message.from_me), (MessageKind::Text, false));
    assert_eq!((message.chat.as_str(), message.sender.as_str()), ("491702@s.whatsapp.net", "491702@s.whatsapp.net"));
    line.link.close().await;
    assert_eq!(line.closed().await, CloseReason::Requested);

    // it is stored, so it does not arrive a third time
    let mut line = house.open(fence).await;
    line.connected().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    while let Some(delivery) = line.inbox.try_recv() {
        assert!(!matches!(delivery.event, LinkEvent::Messages(_)));
    }
}

/// R112: a worker crashed when the keys of received messages were used up, and the messages were not stored. Their sender
/// is asked to encrypt them again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn messages_missed_in_a_crash_are_asked_for_again(pool: PgPool) {
    let house = House::new(pool.clone()).await;
    let (fence, line) = house.linked("491525").await;
    line.link.close().await;
    let texts: Vec<String> = (0..7).map(|n| format!("please keep {n}")).collect();
    for text in &texts {
        house.post("/phones/491705/send", json!({ "to": "491525", "text": text })).await;
    }
    let mut line = house.open(fence).await;
    while !matches!(line.inbox.recv().await.unwrap().event, LinkEvent::Messages(_)) {} // its commit is dropped
    line.closed().await;
    let waiting = "DELETE FROM credentials WHERE account_id = $1 AND kind = 18"; // the copies that wait for the session
    let waiting = sqlx::query(waiting).bind(fence.account).execute(&pool).await.unwrap().rows_affected();
    assert_eq!(waiting, 7);

    let mut line = house.open(fence).await;
    let mut arrived = Vec::new();
    while arrived.len() < texts.len() {
        let messages = line.find("the messages", |event| match event {
            LinkEvent::Messages(messages) => Some(messages.clone()),
            _ => None,
        });
        arrived.extend(messages.await.into_iter().map(|message| message.text.unwrap()));
    }
    arrived.sort();
    assert_eq!(arrived, texts);
    line.link.close().await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn groups_and_who_may_post(pool: PgPool) {
    let house = House::new(pool).await;
    let (fence, line) = house.linked("491524").await;
    let make = async |subject: &str| {
        let group = json!({ "subject": subject, "owner": "491703", "members": ["491524", "491704"] });
        house.post("/groups", group).await["jid"].as_str().unwrap().to_owned()
    };
    let (open, closed) = (make("open").await, make("closed").await);
    let url = format!("{}/groups/{closed}", house.simulator.admin_url());
    reqwest::Client::new().patch(url).json(&json!({ "announce": true })).send().await.unwrap();
    let groups = line.link.groups().await.unwrap();
    let of = |jid: &str| groups.iter().find(|group| group.jid == jid).unwrap().clone();
    assert_eq!((of(&open).subject.as_str(), of(&open).size, of(&open).can_post), ("open", 3, true));
    assert_eq!((of(&closed).subject.as_str(), of(&closed).can_post), ("closed", false));

    line.link.send_text(&open, "G1", "to all").await.unwrap();
    assert_eq!(house.bubbles("491704", "G1").await[0]["text"], "to all");
    line.link.close().await;
    // the sender key is still there after a change of owner
    let fence = house.claim(fence).await;
    let mut line = house.open(fence).await;
    line.connected().await;
    line.link.send_text(&open, "G2", "again").await.unwrap();
    assert_eq!(house.bubbles("491704", "G2").await[0]["text"], "again");
}
