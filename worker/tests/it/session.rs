//! One session with real rows, and a link that the test drives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fake::Call;
use kit::until;
use process::clock::BootTime;
use process::telemetry::metrics::labels::Loss;
use sqlx::PgPool;
use store::Fence;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use worker::link::{
    CloseReason, Connector as _, InboundMessage, LinkEvent, MessageKind, OpenSpec, ReceiptKind, SendError, channel,
};
use worker::session::machine::state::End;
use worker::session::outbox::Sender;

use crate::house::{House, OnItsWay, ack, sent};

/// R61: a session that is given back sends nothing new. It waits for outstanding acknowledgements, writes them, and
/// only then closes.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_release_waits_for_what_is_on_its_way(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { account, message, orders, session, link } = house.on_its_way().await;
    orders.release.cancel();
    let second = house.message(account, 15_558_888).await;
    orders.look.notify_one();
    // the statement that answers the look comes after this one; the session knows both by then
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!link.calls().contains(&Call::Close), "closed with a message on its way");
    link.emit(ack(&message.to_string()));
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(house.state(message).await.0, "sent");
    assert_eq!(house.state(second).await.0, "queued");
    assert_eq!(link.sent().len(), 1);
    assert_eq!(link.calls().last(), Some(&Call::Close));
}

/// R61: the wait is bounded. Without an acknowledgement the account is given back after three seconds, and the row is
/// still queued.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_release_does_not_wait_for_ever(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders, session, link: _link, .. } = house.on_its_way().await;
    let start = Instant::now();
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(2_900) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(house.state(message).await.0, "queued");
}

/// R27: events of a connection that was given up change nothing, but its acknowledgements count.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_older_connection_is_not_heard(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (orders, session) = house.session(account);
    house.online(0).await.end(CloseReason::Dropped("gone".into()));
    let link = house.online(1).await;
    until("connected", async || {
        let status = "SELECT status FROM accounts WHERE id = $1";
        let status: String = sqlx::query_scalar(status).bind(account.0).fetch_one(&house.pool).await.unwrap();
        (status == "connected").then_some(())
    })
    .await;
    let old = house.switch.ways.lock().unwrap()[0].sender(1);
    old.emit(LinkEvent::QrCode { code: "2@x".into(), lifetime: Duration::from_secs(60) });
    old.emit(LinkEvent::Paired { number: "1".into(), jid: "1:1@x".into(), lid: None, platform: "x".into() });
    old.emit(LinkEvent::Closed(CloseReason::LoggedOut { reason: "x".into() }));
    let message = house.message(account, 15_559_999).await;
    orders.look.notify_one();
    let ids = sent(&link, 1).await;
    house.switch.ways.lock().unwrap()[0].sender(1).emit(ack(&ids[0]));
    until("sent", async || (house.state(message).await.0 == "sent").then_some(())).await;
    assert_eq!(house.switch.links.links().len(), 2, "nothing was opened");
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R02: the epoch was raised meanwhile. The session's next write finds that, the connection is dropped, and nothing is
/// written.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_raised_epoch_ends_the_session(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders: _orders, session, link, .. } = house.on_its_way().await;
    sqlx::query("UPDATE leases SET epoch = epoch + 1").execute(&house.pool).await.unwrap();
    link.emit(ack(&message.to_string()));
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Fenced));
    assert_eq!(house.state(message).await.0, "queued");
    assert_eq!(link.calls().last(), Some(&Call::Abort));
}

/// R36: a message that ends each connection without an answer is given up after its fifth try, and says that it may
/// have arrived. The next message is sent.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_that_never_has_an_outcome_does_not_block_its_account(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let poison = house.message(account, 15_559_999).await;
    let behind = house.message(account, 15_559_999).await;
    let tried = "UPDATE messages SET blamed = 3 WHERE id = $1";
    sqlx::query(tried).bind(poison.0).execute(&house.pool).await.unwrap();
    let (orders, session) = house.session(account);
    for nth in 0..2 {
        assert_eq!(house.state(poison).await.0, "queued", "given up after {nth} more tries");
        let link = until("a link", async || house.switch.links.links().get(nth).cloned()).await;
        link.next_send(Err(SendError::Unknown("x".into())));
        house.online(nth).await;
        assert_eq!(sent(&link, 1).await, [poison.to_string()]);
    }
    let link = house.online(2).await;
    assert_eq!(sent(&link, 1).await, [behind.to_string()]);
    let (state, reason) = house.state(poison).await;
    assert_eq!(state, "failed");
    assert!(reason.is_some_and(|reason| reason.contains("may have arrived")));
    assert_eq!(house.attempts(poison).await, 2);
    link.emit(ack(&behind.to_string()));
    until("sent", async || (house.state(behind).await.0 == "sent").then_some(())).await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R36: a dead connection is not the fault of a message. If several wait for an answer, none is blamed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_dead_connection_blames_no_message(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    for chat in 1..=3 {
        house.message(account, 15_559_990 + chat).await;
    }
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    sent(&link, 3).await;
    // no acknowledgement arrives, so the connection is given up and all three are sent again
    let again = house.online(1).await;
    sent(&again, 3).await;
    let blamed: i64 = sqlx::query_scalar("SELECT sum(blamed) FROM messages").fetch_one(&house.pool).await.unwrap();
    assert_eq!(blamed, 0);
    orders.right.lose(Loss::Lapsed);
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
}

/// R93: a value that Postgres will never accept makes the session give the account back. It is not mistaken for another
/// owner.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_can_not_be_written_ends_the_session(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders: _orders, session, link, .. } = house.on_its_way().await;
    sqlx::query("ALTER TABLE messages ADD CHECK (state <> 'sent')").execute(&house.pool).await.unwrap();
    link.emit(ack(&message.to_string()));
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Unwritable));
}

/// R36: the reach-out time-lock (463) holds the account for the configured time. No message fails.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_hold_lasts_as_long_as_configured(pool: PgPool) {
    let house = House::new(pool).await;
    let OnItsWay { message, orders, session, link, .. } = house.on_its_way().await;
    link.emit(LinkEvent::Ack { whatsapp_id: message.to_string(), error: Some(463), at: None });
    let left = until("a hold", async || {
        let left = "SELECT extract(epoch FROM held_until - now())::float8 FROM accounts WHERE held_until IS NOT NULL";
        sqlx::query_scalar::<_, f64>(left).fetch_optional(&house.pool).await.unwrap()
    })
    .await;
    assert!(left > 3.0 && left <= 7.0, "{left}");
    assert_eq!(sent(&link, 2).await[1], message.to_string(), "it goes out again, with the same id");
    assert_eq!(house.state(message).await.0, "queued");
    orders.right.lose(Loss::Lapsed);
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
}

/// R02: after the end of trust nothing is sent, whatever bells ring. The session ends, and the row waits for its next
/// owner.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_is_sent_after_the_end_of_trust(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_secs(6), pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    link.emit(ack(&sent(&link, 1).await[0]));
    until("an acknowledged message", async || (house.state(first).await.0 == "sent").then_some(())).await;
    until("the end of trust", async || (!house.context.trust.holds(BootTime::now())).then_some(())).await;
    let second = house.message(account, 15_559_999).await;
    orders.look.notify_one();
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
    assert_eq!(link.sent().len(), 1);
    assert!(link.is_over());
    assert_eq!(house.state(second).await.0, "queued");
}

/// R02: the sender itself checks the right to act before each send, independently of the session. Nothing is sent while
/// the right is uncertain.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_sender_asks_for_trust(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_secs(3), pool).await;
    let account = house.account(15_550_001).await;
    house.message(account, 15_559_999).await;
    let (events, _inbox) = channel();
    let fence = Fence { account, epoch: 1 };
    let spec = OpenSpec { fence, serial: 1, label: "Ada".into(), may_act: worker::link::MayAct::always() };
    let link = house.switch.open(spec, events).await.unwrap();
    let fake = house.switch.links.last().unwrap();
    until("the end of trust", async || (!house.context.trust.holds(BootTime::now())).then_some(())).await;
    let (reports, _reports) = tokio::sync::mpsc::unbounded_channel();
    let (context, stop, bell) = (Arc::clone(&house.context), CancellationToken::new(), Arc::new(Notify::new()));
    let freed = Arc::new(Notify::new());
    let sender =
        Sender { context, fence, link, serial: 1, in_flight: Arc::default(), bell, freed, reports, stop: stop.clone() };
    sender.bell.notify_one();
    let sending = tokio::spawn(sender.run());
    tokio::time::sleep(Duration::from_millis(1_500)).await; // it has looked several times by then
    assert_eq!(fake.sent().len(), 0);
    house.context.trust.renewed(BootTime::now());
    sent(&fake, 1).await;
    stop.cancel();
    sending.await.unwrap();
}

/// R62: a connection that stays open but takes no messages is given up, and the message is sent on the next one.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_connection_that_takes_nothing_is_given_up(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    for _ in 0..20 {
        link.next_send(Err(SendError::NotConnected));
    }
    let message = house.message(account, 15_559_999).await;
    orders.look.notify_one();
    let next = house.online(1).await;
    assert!(link.calls().contains(&Call::Close), "{:?}", link.calls());
    next.emit(ack(&sent(&next, 1).await[0]));
    until("a sent message", async || (house.state(message).await.0 == "sent").then_some(())).await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// Only the received message that the database refuses is left out. The others of its batch are stored.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_that_cannot_be_stored_is_left_out_alone(pool: PgPool) {
    let refused = "ALTER TABLE events ADD CHECK (data ->> 'text' IS DISTINCT FROM 'two')";
    sqlx::query(refused).execute(&pool).await.unwrap();
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    let message = |text: &str| InboundMessage {
        chat: "15559999@s.whatsapp.net".into(),
        sender: "15559999@s.whatsapp.net".into(),
        sender_number: Some("15559999".into()),
        sender_lid: None,
        whatsapp_id: format!("ID-{text}"),
        text: Some(text.into()),
        kind: MessageKind::Text,
        at: process::clock::now(),
        from_me: false,
        push_name: String::new(),
    };
    link.emit(LinkEvent::Messages(vec![message("one"), message("two"), message("three")]));
    let stored = until("messages", async || {
        let texts = "SELECT data ->> 'text' FROM events WHERE kind = 'message.received' ORDER BY id";
        let texts: Vec<String> = sqlx::query_scalar(texts).fetch_all(&house.pool).await.unwrap();
        (texts.len() >= 2).then_some(texts)
    })
    .await;
    assert_eq!(stored, ["one", "three"]);
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R36: a long queue in one chat does not delay another chat.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_long_queue_to_one_chat_does_not_hold_up_another(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_991).await;
    for _ in 0..100 {
        house.message(account, 15_559_991).await;
    }
    let other = house.message(account, 15_559_992).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    assert_eq!(sent(&link, 2).await, [first.to_string(), other.to_string()], "with nothing acknowledged");
    orders.right.lose(Loss::Lapsed);
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
}

/// R36: WhatsApp puts a message off while the next send is slow. The next message of its chat does not overtake it.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_message_that_is_put_off_is_not_overtaken(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_991).await;
    let slow = house.message(account, 15_559_992).await;
    let second = house.message(account, 15_559_991).await;
    let (orders, session) = house.session(account);
    let link = until("a link", async || house.switch.links.links().first().cloned()).await;
    let go = link.hold_sends_to("15559992@s.whatsapp.net");
    house.online(0).await;
    assert_eq!(sent(&link, 2).await, [first.to_string(), slow.to_string()]);
    link.emit(LinkEvent::Ack { whatsapp_id: first.to_string(), error: Some(503), at: None });
    tokio::time::sleep(Duration::from_millis(1_300)).await; // longer than the pause after a 503
    go.notify_one();
    let ids = sent(&link, 3).await;
    assert_eq!(ids[..3], [first.to_string(), slow.to_string(), first.to_string()]);
    link.emit(ack(&first.to_string()));
    assert_eq!(sent(&link, 4).await[3], second.to_string());
    orders.right.lose(Loss::Lapsed);
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
}

/// R71: a receipt proves that WhatsApp has the message. If the acknowledgement was lost, the next message of the chat
/// is sent at once on the same connection. The message is sent, delivered and read.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_receipt_is_an_answer(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let first = house.message(account, 15_559_999).await;
    let second = house.message(account, 15_559_999).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    assert_eq!(sent(&link, 1).await, [first.to_string()]);
    let start = Instant::now();
    link.emit(LinkEvent::Receipt {
        whatsapp_ids: vec![first.to_string()],
        kind: ReceiptKind::Read,
        chat: "15559999@s.whatsapp.net".to_owned(),
        participant: None,
        at: chrono::Utc::now(),
    });
    assert_eq!(sent(&link, 2).await[1], second.to_string());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(house.switch.links.links().len(), 1, "no connection was made anew");
    until("it is read", async || (house.state(first).await.0 == "read").then_some(())).await;
    link.emit(ack(&first.to_string())); // late, so it changes nothing
    link.emit(ack(&second.to_string()));
    until("the second is sent", async || (house.state(second).await.0 == "sent").then_some(())).await;
    assert_eq!(house.state(first).await.0, "read");
    orders.right.lose(Loss::Lapsed);
    assert_eq!(session.await.unwrap(), End::Lost(Loss::Lapsed));
}

/// R44: rows that were read before an edit called them back, and that are not sent yet, are not sent.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_called_back_while_others_are_sent_stays_here(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let mut messages = Vec::new();
    for chat in [1, 1, 2] {
        messages.push(house.message(account, 15_559_990 + chat).await);
    }
    let (orders, session) = house.session(account);
    let link = until("a link", async || house.switch.links.links().first().cloned()).await;
    let go = link.hold_sends_to("15559991@s.whatsapp.net");
    house.online(0).await;
    let ids = sent(&link, 2).await;
    assert_eq!(ids, [messages[0].to_string(), messages[2].to_string()], "of each chat the first");
    sqlx::query("UPDATE messages SET state = 'canceled', reason = 'x', failed_at = now() WHERE id = $1")
        .bind(messages[1].0)
        .execute(&house.pool)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await; // what was read is old by now
    go.notify_one();
    for id in &ids {
        link.emit(ack(id));
    }
    for message in [messages[0], messages[2]] {
        until("sent", async || (house.state(message).await.0 == "sent").then_some(())).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await; // time to hand over what was read before
    assert_eq!(link.sent(), ids);
    assert_eq!(house.state(messages[1]).await.0, "canceled");
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R35: the groups are read at the login, and again each time that WhatsApp reports a change.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn groups_that_change_are_read_again(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    for times in 1..=3 {
        let reads = || link.calls().iter().filter(|call| **call == Call::Groups).count();
        until("a reading", async || (reads() >= times).then_some(())).await;
        link.emit(LinkEvent::GroupsChanged);
    }
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}
