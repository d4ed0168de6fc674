//! What became of new events is written for many webhooks at once (R113).

use std::time::Duration;

use domain::id::AccountId;
use domain::webhook::retry::Verdict;
use serde_json::Value;
use sqlx::PgPool;
use store::webhooks::deliveries::{self, State};
use store::webhooks::settle::{End, Settled, Standing};
use store::{MIGRATOR, Store, events};

use crate::webhooks::{due, happen, held, news, numbers, owned, owner, settle, waiting};

const AGAIN: Verdict = Verdict { attempts: 1, again_in: Some(Duration::from_secs(3_600)), holds: true };
const PASSED_MAX: i64 = 10_000;

/// R113: each event becomes one row with its end, in order. Only what was not delivered keeps its data.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_event_has_its_end(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &["a.b"]).await;
    let account = Some(AccountId::new());
    for (n, kind) in ["a.b", "c.d", "a.b", "a.b", "a.b"].into_iter().enumerate() {
        happen(&db, of.0, account, kind, n).await;
    }
    let before = held(&db, of).await;
    let mut read = Vec::new();
    while read.len() < 5 {
        read = news(&db, of, &before, 10).await.events;
    }
    assert_eq!(read.iter().map(|event| event.data.is_some()).collect::<Vec<_>>(), [true, false, true, true, true]);
    let refused =
        End::Failed { status: Some(422), word: "status", verdict: Verdict { holds: false, ..AGAIN }, counts: false };
    let failed = End::Failed { status: None, word: "timeout", verdict: AGAIN, counts: true };
    let ends = [Some(End::Delivered(204)), Some(refused), Some(failed), None];
    let standing = Standing { well: true, failures: 1, refusals: 1 };
    let events: Vec<_> = read.iter().filter(|event| event.data.is_some()).cloned().zip(ends).collect();
    let ids: Vec<_> = events.iter().map(|(event, _)| event.delivery(of.1)).collect();
    let settled = Settled { from: before.cursor, to: read[4].cursor, events, standing, passed_max: PASSED_MAX };
    assert_eq!(settle(&store, of, settled.clone()).await.unwrap(), Some(before.version));
    assert_eq!(settle(&store, of, settled).await.unwrap(), None, "once");

    let now = held(&db, of).await;
    assert_eq!((now.cursor, now.failures, now.waiting), (read[4].cursor, 1, 2));
    assert!(now.failing_since.is_some() && now.due_in == Some(Duration::ZERO));
    let mut listed = deliveries::list(store.of(of.0), of.1, None, None, 10).await.unwrap();
    listed.reverse();
    assert_eq!(listed.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), ids);
    let shown: Vec<_> = listed.iter().map(|d| (d.state, d.attempts, d.last_status, d.last_error.as_deref())).collect();
    let expected = [
        (State::Delivered, 1, Some(204), None),
        (State::Pending, 1, Some(422), Some("status")),
        (State::Pending, 1, None, Some("timeout")),
        (State::Pending, 0, None, None),
    ];
    assert_eq!(shown, expected);
    let data = "SELECT data->'n' FROM webhook_deliveries ORDER BY seq";
    let data: Vec<Option<Value>> = sqlx::query_scalar(data).fetch_all(&db).await.unwrap();
    assert_eq!(data, [None, Some(2.into()), Some(3.into()), Some(4.into())]);
    assert_eq!(numbers(&due(&db, of).await), Vec::<u64>::new(), "the last one waits behind the one that failed");
}

/// R113: a webhook whose row somebody has locked waits alone, and the others are written.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_locked_webhook_holds_up_no_other(db: PgPool) {
    let store = Store::from(db.clone());
    let (locked, free) = (owned(&db, &[]).await, owned(&db, &[]).await);
    let mut all = Vec::new();
    for of in [locked, free] {
        happen(&db, of.0, None, "a.b", 0).await;
        let now = held(&db, of).await;
        let mut read = Vec::new();
        while read.is_empty() {
            read = news(&db, of, &now, 10).await.events;
        }
        all.push(waiting(&now, &read, PASSED_MAX));
    }
    let mut transaction = db.begin().await.unwrap();
    let lock = "SELECT id FROM webhooks WHERE id = $1 FOR UPDATE";
    sqlx::query(lock).bind(locked.1).fetch_one(&mut *transaction).await.unwrap();
    let [first, second] = <[Settled; 2]>::try_from(all).unwrap();
    let own = store.clone();
    let behind = tokio::spawn(async move { settle(&own, locked, first).await });
    assert!(settle(&store, free, second).await.unwrap().is_some());
    assert!(!behind.is_finished());
    transaction.commit().await.unwrap();
    assert!(behind.await.unwrap().unwrap().is_some());
    assert_eq!((due(&db, locked).await.len(), due(&db, free).await.len()), (1, 1));
}

/// R63, R113: a receiver gets the same JSON, whether the event was read for it or for a live stream.
#[sqlx::test(migrator = "MIGRATOR")]
async fn the_body_is_the_event_of_a_stream(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    happen(&db, of.0, Some(AccountId::new()), "a.\"b\"", 7).await;
    happen(&db, of.0, None, "c.d", 8).await;
    let before = held(&db, of).await;
    let mut page = Vec::new();
    while page.len() < 2 {
        page = events::after(store.of(of.0), before.cursor, None, 10).await.unwrap().events;
    }
    let read = news(&db, of, &before, 10).await.events;
    for (read, event) in read.iter().zip(page) {
        let body: Value = serde_json::from_str(&read.to_json()).unwrap();
        assert_eq!(body, serde_json::from_str::<Value>(&events::Happened::from(event).to_json()).unwrap());
    }
    assert_eq!(read.len(), 2);
}

/// R113: a look shows when the webhook must be read anew: after a change, after a new secret, and when another worker
/// has it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_look_tells_of_a_change(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    let before = held(&db, of).await;
    assert_eq!(news(&db, of, &before, 10).await.mark, before.mark());
    let by = store::audit::Operator::System("test");
    store::webhooks::rotate_secret(store.of(of.0), of.1, by).await.unwrap();
    assert_ne!(news(&db, of, &before, 10).await.mark, before.mark());
    let before = held(&db, of).await;
    deliveries::test(store.of(of.0), of.1).await.unwrap().quietly();
    assert_ne!(news(&db, of, &before, 10).await.mark, before.mark());
    let before = held(&db, of).await;
    assert_eq!(news(&db, of, &before, 10).await.mark, before.mark());
    sqlx::query("UPDATE webhooks SET owner = NULL").execute(&db).await.unwrap();
    let gone = store::webhooks::look::look(store.owning(owner(of)), before.cursor, 10).await.unwrap();
    assert!(gone.is_none());
}
