//! The effect of an attempt's end on a webhook and on its waiting deliveries (R63).

use std::time::Duration;

use domain::id::{AccountId, DeliveryId};
use domain::webhook::retry::{Fault, Verdict, verdict};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::events;
use store::webhooks::deliveries::{self, State};
use store::webhooks::{self, ends};
use store::{MIGRATOR, Store};

use crate::webhooks::{HOUR, OVER, due, happen, held, news, numbers, owned, settle, take, take_all, waiting};

/// R63: after a long outage of a receiver, the statement that ends the outage makes all waiting deliveries due. Without
/// an outage it does not.
#[sqlx::test(migrator = "MIGRATOR")]
async fn all_that_waits_is_due_after_an_outage(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    let account = || Some(AccountId::new());
    for n in 0..4 {
        happen(&db, of.0, account(), "a.b", n).await;
    }
    take_all(&db, of, 4).await;
    let all = due(&db, of).await;
    let again = Verdict { attempts: 1, again_in: Some(HOUR), holds: true };
    for due in &all[2..] {
        ends::failed(store.of(of.0), (due.id, 0), (None, "timeout"), again, true).await.unwrap();
    }
    let failing = "UPDATE webhooks SET failures = 5, failing_since = now() - make_interval(secs => $1)";
    sqlx::query(failing).bind(250.0).execute(&db).await.unwrap();
    assert!(ends::delivered(store.of(of.0), all[0].id, 200).await.unwrap().is_some());
    assert_eq!(numbers(&due(&db, of).await), [1], "a short one: nothing waits for long");
    sqlx::query(failing).bind(350.0).execute(&db).await.unwrap();
    assert!(ends::delivered(store.of(of.0), all[1].id, 200).await.unwrap().is_some());
    assert_eq!(numbers(&due(&db, of).await), [2, 3]);
    assert_eq!(held(&db, of).await.failures, 0);
}

/// R63, R97: a refused delivery delays no other, does not pause the receiver, and comes after new deliveries. A test
/// comes first.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_refused_steps_aside(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    let ada = Some(AccountId::new());
    for n in 0..3 {
        happen(&db, of.0, ada, "a.b", n).await;
    }
    take_all(&db, of, 3).await;
    let first = due(&db, of).await[0].id;
    let refused = verdict(Fault::Event, 0, Duration::ZERO, 0.5);
    ends::failed(store.of(of.0), (first, 0), (Some(422), "status"), refused, false).await.unwrap();
    let now = held(&db, of).await;
    assert_eq!((now.waiting, now.failures), (2, 0));
    assert!(now.failing_since.is_some(), "nothing has succeeded since");
    assert_eq!(numbers(&due(&db, of).await), [1, 2]);
    sqlx::query("UPDATE webhook_deliveries SET next_attempt_at = now()").execute(&db).await.unwrap();
    assert_eq!(numbers(&due(&db, of).await), [1, 2, 0]);
    let test = deliveries::test(store.of(of.0), of.1).await.unwrap().quietly();
    assert_eq!(due(&db, of).await[0].id, test.id);
    assert_eq!(held(&db, of).await.version, now.version + 1, "whoever pauses sees that somebody waits");
    deliveries::retry(store.of(of.0), of.1, first).await.unwrap().quietly();
    assert_eq!(held(&db, of).await.version, now.version + 2);
}

/// R63: the number of waiting deliveries that delay no other is bounded. The oldest ones beyond the bound fail with a
/// reason.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_refused_is_bounded(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    for n in 0..6 {
        happen(&db, of.0, None, "a.b", n).await;
    }
    take_all(&db, of, 6).await;
    sqlx::query("UPDATE webhook_deliveries SET holds = false WHERE seq <= 5").execute(&db).await.unwrap();
    happen(&db, of.0, None, "a.b", 6).await;
    let held = held(&db, of).await;
    let mut events = Vec::new();
    while events.is_empty() {
        events = news(&db, of, &held, 10).await.events;
    }
    assert!(settle(&store, of, waiting(&held, &events, 3)).await.unwrap().is_some());
    assert_eq!(numbers(&due(&db, of).await), [5, 6, 2, 3, 4]);
    let failed = deliveries::list(store.of(of.0), of.1, Some(State::Failed), None, 10).await.unwrap();
    let words: Vec<_> = failed.iter().map(|delivery| delivery.last_error.as_deref().unwrap()).collect();
    assert_eq!(words, ["overflow", "overflow"]);
}

/// R63: when the last waiting delivery fails for good, the webhook is not failing any more. If others wait, it still
/// is.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_quiet_webhook_is_not_failing(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    happen(&db, of.0, None, "a.b", 0).await;
    happen(&db, of.0, None, "a.b", 1).await;
    take_all(&db, of, 2).await;
    let ids: Vec<DeliveryId> = due(&db, of).await.iter().map(|due| due.id).collect();
    ends::failed(store.of(of.0), (ids[0], 0), (Some(500), "status"), OVER, true).await.unwrap();
    assert_eq!(held(&db, of).await.failures, 1);
    ends::failed(store.of(of.0), (ids[1], 0), (Some(500), "status"), OVER, true).await.unwrap();
    let now = held(&db, of).await;
    assert_eq!((now.failures, now.failing_since), (0, None));
}

/// R63: events that become too old before a webhook reads them are counted, once, in an event of their own.
#[sqlx::test(migrator = "MIGRATOR")]
async fn dropped_events_are_told(db: PgPool) {
    let store = Store::from(db.clone());
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let of = owned(&db, &["a.b"]).await;
    let (all, _) =
        webhooks::create(store.of(of.0), "https://example.com/", &[], store::audit::Operator::System("test"))
            .await
            .unwrap();
    let off = webhooks::create(store.of(of.0), "https://example.com/", &[], store::audit::Operator::System("test"))
        .await
        .unwrap()
        .0
        .id;
    sqlx::query("UPDATE webhooks SET enabled = false WHERE id = $1").bind(off).execute(&db).await.unwrap();
    for n in 0..4 {
        happen(&db, of.0, None, ["a.b", "c.d"][n % 2], n).await;
    }
    while take(&db, of, 1).await == 0 {}
    sqlx::query("UPDATE events SET created_at = now() - interval '8 days' WHERE data->>'n' <> '3'")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(events::prune(store.for_all_tenants(), week, 100).await.unwrap().quietly(), (3, vec![of.0, of.0]));
    assert_eq!(events::prune(store.for_all_tenants(), week, 100).await.unwrap().quietly(), (0, Vec::new()));
    let told = "SELECT data FROM events WHERE kind = 'webhook.events_dropped' ORDER BY data->>'count'";
    let told: Vec<Value> = sqlx::query_scalar(told).fetch_all(&db).await.unwrap();
    let counts: Vec<_> = told.iter().map(|data| (&data["webhook_id"], &data["count"])).collect();
    assert_eq!(counts, [(&json!(of.1), &json!(1)), (&json!(all.id), &json!(3))]);
    assert!(told[0]["until"].is_string());
}

/// R63: a delivery that could not be tried for days fails with a reason before it is removed. A delivery that is tried
/// again stays.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_left_expires_and_is_kept(db: PgPool) {
    let store = Store::from(db.clone());
    let age = Duration::from_secs(9 * 24 * 60 * 60);
    let of = owned(&db, &[]).await;
    happen(&db, of.0, None, "a.b", 0).await;
    happen(&db, of.0, None, "a.b", 1).await;
    take_all(&db, of, 2).await;
    let old = "UPDATE webhook_deliveries SET created_at = now() - interval '10 days', next_attempt_at = now() - interval '10 days'";
    sqlx::query(old).execute(&db).await.unwrap();
    assert_eq!(webhooks::fail_left_deliveries(store.for_all_tenants(), age, 100).await.unwrap(), 2);
    assert_eq!(webhooks::prune_deliveries(store.for_all_tenants(), age, 100).await.unwrap(), 0);
    let failed = deliveries::list(store.of(of.0), of.1, Some(State::Failed), None, 10).await.unwrap();
    assert!(failed.iter().all(|delivery| delivery.last_error.as_deref() == Some("expired")), "{failed:?}");
    deliveries::retry(store.of(of.0), of.1, failed[0].id).await.unwrap().quietly();
    assert_eq!(webhooks::fail_left_deliveries(store.for_all_tenants(), age, 100).await.unwrap(), 0);
    sqlx::query("UPDATE webhook_deliveries SET finished_at = finished_at - interval '10 days'")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(webhooks::prune_deliveries(store.for_all_tenants(), age, 100).await.unwrap(), 1);
}
