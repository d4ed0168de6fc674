//! The `attempts` of a message.

use domain::id::MessageId;
use kit::until;
use sqlx::PgPool;
use worker::link::{CloseReason, LinkEvent, SendError};
use worker::session::machine::state::End;

use crate::house::{House, OnItsWay, ack, sent};

async fn has_attempts(house: &House, message: MessageId, count: i32) {
    until("its attempts", async || (house.attempts(message).await == count).then_some(())).await;
}

fn refused(id: MessageId, error: u16) -> LinkEvent {
    LinkEvent::Ack { whatsapp_id: id.to_string(), error: Some(error), at: None }
}

/// R72: `attempts` counts every hand-over, however it ended: refused for a while, no answer on the connection, a
/// session that was given back, an acknowledgement.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_hand_over_is_counted(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let message = house.message(account, 15_559_999).await;
    assert_eq!(house.attempts(message).await, 0);
    let (orders, session) = house.session(account);

    let link = house.online(0).await;
    sent(&link, 1).await;
    link.emit(refused(message, 503));
    has_attempts(&house, message, 1).await;
    sent(&link, 2).await;
    link.emit(LinkEvent::Closed(CloseReason::Dropped("x".to_owned())));
    has_attempts(&house, message, 2).await;

    let link = house.online(1).await;
    sent(&link, 1).await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(house.attempts(message).await, 3);

    let (orders, session) = house.session(account);
    let link = house.online(2).await;
    sent(&link, 1).await;
    link.emit(ack(&message.to_string()));
    until("it is sent", async || (house.state(message).await.0 == "sent").then_some(())).await;
    assert_eq!(house.attempts(message).await, 4);
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R72: a hand-over that WhatsApp refused for good counts, and is the last one.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_refusal_for_good_is_a_hand_over(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders, session, link, .. } = house.on_its_way().await;
    link.emit(refused(message, 403));
    until("it failed", async || (house.state(message).await.0 == "failed").then_some(())).await;
    assert_eq!(house.attempts(message).await, 1);
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(house.attempts(message).await, 1);
}

/// R72: a message that the client refused never reached WhatsApp, so it does not count.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_the_client_refuses_is_no_hand_over(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let message = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = until("a link", async || house.switch.links.links().first().cloned()).await;
    link.next_send(Err(SendError::Rejected("too long".to_owned())));
    house.online(0).await;
    until("it failed", async || (house.state(message).await.0 == "failed").then_some(())).await;
    assert_eq!(house.attempts(message).await, 0);
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R72: a hand-over counts even if WhatsApp refused it after the message had been called back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_refusal_of_what_was_called_back_counts(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders, session, link, .. } = house.on_its_way().await;
    let called_back = "UPDATE messages SET state = 'canceled', reason = 'x', failed_at = now()";
    sqlx::query(called_back).execute(&house.pool).await.unwrap();
    link.emit(refused(message, 403));
    has_attempts(&house, message, 1).await;
    assert_eq!(house.state(message).await.0, "canceled");
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}
