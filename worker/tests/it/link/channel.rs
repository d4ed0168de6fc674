//! The channel of events from a link to its session, and the double that tests drive.

use std::time::Duration;

use crate::fake::{Call, FakeConnector};
use chrono::DateTime;
use domain::id::AccountId;
use store::Fence;
use worker::link::channel::RECEIPT_BACKLOG;
use worker::link::{CloseReason, Connector, LinkError, LinkEvent, MayAct, OpenSpec, ReceiptKind, SendError, channel};

fn ack(id: usize) -> LinkEvent {
    LinkEvent::Ack { whatsapp_id: id.to_string(), error: None, at: None }
}

fn receipt() -> LinkEvent {
    LinkEvent::Receipt {
        whatsapp_ids: vec!["A".to_owned()],
        kind: ReceiptKind::Read,
        chat: "49151@s.whatsapp.net".to_owned(),
        participant: None,
        at: DateTime::UNIX_EPOCH,
    }
}

fn spec() -> OpenSpec {
    OpenSpec {
        fence: Fence { account: AccountId::new(), epoch: 1 },
        serial: 3,
        label: "x".to_owned(),
        may_act: MayAct::always(),
    }
}

#[tokio::test]
async fn closed_comes_once_and_last() {
    let (events, mut inbox) = channel();
    let sender = events.sender(3);
    sender.close(CloseReason::Replaced);
    sender.close(CloseReason::Requested);
    sender.emit(ack(1));
    assert!(!sender.emit_and_commit(LinkEvent::Messages(Vec::new())).await);
    let last = inbox.recv().await.unwrap();
    assert_eq!((last.serial, last.event), (3, LinkEvent::Closed(CloseReason::Replaced)));
    assert!(inbox.try_recv().is_none());
    drop((events, sender));
    assert!(inbox.recv().await.is_none());
}

#[tokio::test]
async fn a_session_that_sleeps_loses_receipts_and_no_ack() {
    let (events, mut inbox) = channel();
    let sender = events.sender(3);
    for id in 0..RECEIPT_BACKLOG + 10 {
        sender.emit(ack(id));
        sender.emit(receipt());
    }
    sender.close(CloseReason::Requested);
    assert!(inbox.dropped() > 0);
    let mut acks = 0;
    while let Some(delivery) = inbox.try_recv() {
        acks += usize::from(matches!(delivery.event, LinkEvent::Ack { .. }));
    }
    assert_eq!(acks, RECEIPT_BACKLOG + 10);
    let next = events.sender(3);
    next.emit(receipt());
    assert!(matches!(inbox.try_recv().unwrap().event, LinkEvent::Receipt { .. }), "there is room again");
}

#[tokio::test]
async fn messages_wait_for_their_commit() {
    let (events, mut inbox) = channel();
    let sender = std::sync::Arc::new(events.sender(3));
    for stored in [true, false] {
        let telling = std::sync::Arc::clone(&sender);
        let told = tokio::spawn(async move { telling.emit_and_commit(LinkEvent::Messages(Vec::new())).await });
        let commit = inbox.recv().await.unwrap().commit.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!told.is_finished());
        if stored {
            commit.confirm();
        } else {
            drop(commit);
        }
        assert_eq!(told.await.unwrap(), stored);
    }
}

#[tokio::test]
async fn the_double_does_what_the_test_says() {
    let connector = FakeConnector::new();
    let (events, mut inbox) = channel();
    connector.refuse(LinkError::Timeout);
    assert_eq!(connector.open(spec(), events.clone()).await.err(), Some(LinkError::Timeout));
    let link = connector.open(spec(), events).await.unwrap();
    let double = connector.last().unwrap();
    double.next_send(Err(SendError::Unknown("x".to_owned())));
    assert!(link.send_text("c", "1", "t").await.is_err());
    assert_eq!(link.send_text("c", "2", "t").await, Ok(()));
    assert_eq!(double.sent(), ["1", "2"]);
    double.emit(ack(2));
    assert!(matches!(inbox.recv().await.unwrap().event, LinkEvent::Ack { .. }));
    link.close().await;
    assert_eq!(double.calls().last(), Some(&Call::Close));
    assert_eq!(inbox.recv().await.unwrap().event, LinkEvent::Closed(CloseReason::Requested));
    assert_eq!(link.send_text("c", "3", "t").await, Err(SendError::NotConnected));
}
