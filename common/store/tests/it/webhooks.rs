//! Webhooks in rows: events become deliveries once, in order. The owner of a webhook may vanish at any moment (R63).

use std::sync::Arc;
use std::time::Duration;

use domain::id::{AccountId, TenantId, WebhookId, WorkerId};
use domain::webhook::MAX_PER_TENANT;
use domain::webhook::retry::{self, Fault, Verdict, verdict};
use kit::{put_event, rows};
use serde_json::json;
use sqlx::PgPool;
use store::webhooks::deliveries::{self, State};
use store::webhooks::follow::{self, Due, Held};
use store::webhooks::look::{Look, News, look};
use store::webhooks::owner::Owner;
use store::webhooks::settle::{self, Settled, Standing};
use store::webhooks::{self, Change, ends};
use store::{Error, MIGRATOR, Store, workers};

const TTL: Duration = Duration::from_secs(15);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
const URL: &str = "https://example.com/hook";
const PASSED_MAX: i64 = 10_000;
/// A delivery that has failed for good.
pub(crate) const OVER: Verdict = Verdict { attempts: 12, again_in: None, holds: false };

async fn worker(db: &PgPool) -> WorkerId {
    let worker = WorkerId::new();
    let boot = workers::Boot { name: "w", holds_name: false, version: "1", release: "1", capacity: 1, lease: TTL };
    workers::register(db, worker, boot).await.unwrap();
    worker
}

pub(crate) async fn happen(db: &PgPool, tenant: TenantId, account: Option<AccountId>, kind: &str, n: usize) {
    put_event(&mut db.acquire().await.unwrap(), tenant, account, kind, &json!({"n": n})).await.unwrap();
}

/// A webhook of a new tenant, and the worker that owns it.
pub(crate) async fn owned(db: &PgPool, kinds: &[&str]) -> (TenantId, WebhookId, WorkerId) {
    let store = Store::from(db.clone());
    let tenant = rows::tenant(db).await;
    let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
    let (webhook, _) =
        webhooks::create(store.of(tenant), URL, &kinds, store::audit::Operator::System("test")).await.unwrap();
    let worker = worker(db).await;
    assert_eq!(follow::claim(store.for_all_tenants(), worker, 10).await.unwrap(), [(tenant, webhook.id)]);
    (tenant, webhook.id, worker)
}

pub(crate) async fn held(db: &PgPool, (tenant, webhook, worker): (TenantId, WebhookId, WorkerId)) -> Held {
    let store = Store::from(db.clone());
    follow::held(store.of(tenant), webhook, worker, 1_000).await.unwrap().unwrap()
}

/// Reads new events, as a follower does.
pub(crate) async fn news(db: &PgPool, of: (TenantId, WebhookId, WorkerId), held: &Held, limit: i64) -> Look {
    look(Store::from(db.clone()).owning(owner(of)), held.cursor, limit).await.unwrap().unwrap()
}

pub(crate) const fn owner((tenant, webhook, worker): (TenantId, WebhookId, WorkerId)) -> Owner {
    Owner { tenant, webhook, worker }
}

/// Writes what became of events, as a follower does.
pub(crate) async fn settle(
    store: &Store,
    of: (TenantId, WebhookId, WorkerId),
    settled: Settled,
) -> store::Result<Option<i64>> {
    let settled = Arc::new(settled);
    match settle::settle(store.owning(owner(of)), Arc::clone(&settled)).await? {
        None => settle::settle_alone(store.owning(owner(of)), settled).await,
        version => Ok(version),
    }
}

/// These events become waiting deliveries.
pub(crate) fn waiting(held: &Held, events: &[News], passed_max: i64) -> Settled {
    let to = events.last().unwrap().cursor;
    let events = events.iter().filter(|event| event.data.is_some()).map(|event| (event.clone(), None)).collect();
    Settled { from: held.cursor, to, events, standing: Standing::default(), passed_max }
}

/// Takes the next page of events, as a follower does when a receiver fails. Returns how many it read.
pub(crate) async fn take(db: &PgPool, of: (TenantId, WebhookId, WorkerId), limit: i64) -> usize {
    let store = Store::from(db.clone());
    let held = held(db, of).await;
    let read = news(db, of, &held, limit).await.events;
    if !read.is_empty() {
        let taken = settle(&store, of, waiting(&held, &read, PASSED_MAX)).await.unwrap();
        assert_eq!(taken, Some(held.version));
    }
    read.len()
}

/// Takes this many events, in pages of at most three.
pub(crate) async fn take_all(db: &PgPool, of: (TenantId, WebhookId, WorkerId), events: usize) {
    let mut read = 0;
    // transactions in other tests' databases may delay our events for a moment
    while read < events {
        read += take(db, of, i64::try_from(events - read).unwrap().min(3)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn due(db: &PgPool, of: (TenantId, WebhookId, WorkerId)) -> Vec<Due> {
    let store = Store::from(db.clone());
    follow::due(store.of(of.0), of.1, 100).await.unwrap().0
}

pub(crate) fn numbers(due: &[Due]) -> Vec<u64> {
    due.iter().map(|due| due.happened.data["n"].as_u64().unwrap()).collect()
}

/// R63: new events become deliveries, once, in order, if the webhook subscribes to their kind.
#[sqlx::test(migrator = "MIGRATOR")]
async fn events_become_deliveries(db: PgPool) {
    let of = owned(&db, &["a.b", "c.d"]).await;
    let other = rows::tenant(&db).await;
    for n in 0..8 {
        happen(&db, of.0, None, ["a.b", "x.y", "c.d"][n % 3], n).await;
        happen(&db, other, None, "a.b", 100 + n).await;
    }
    take_all(&db, of, 8).await;
    assert_eq!(take(&db, of, 100).await, 0, "nothing is read twice");
    let due = due(&db, of).await;
    assert_eq!(numbers(&due), [0, 2, 3, 5, 6]);
    let first = &due[0].happened;
    assert_eq!((first.kind.as_str(), first.account_id, first.id.contains('-')), ("a.b", None, true));
}

/// R63: a call that takes a webhook's events for another owner, or from an older cursor, changes nothing.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cursor_moves_once(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    happen(&db, of.0, None, "a.b", 0).await;
    let before = held(&db, of).await;
    take_all(&db, of, 1).await;
    let events = news(&db, of, &before, 10).await.events;
    let take = async |of, held: &Held| settle(&store, of, waiting(held, &events, PASSED_MAX)).await;
    assert_eq!(take(of, &before).await.unwrap(), None, "an older cursor");
    let mut now = held(&db, of).await;
    assert_eq!(take((of.0, of.1, WorkerId::new()), &now).await.unwrap(), None, "a stranger");
    // the schema prevents two deliveries of an event even if the code were wrong
    now.cursor = before.cursor;
    let back = "UPDATE webhooks SET cursor_txid = $1, cursor_id = $2";
    sqlx::query(back).bind(before.cursor.txid).bind(before.cursor.id).execute(&db).await.unwrap();
    assert!(take(of, &now).await.is_err());
    assert_eq!(due(&db, of).await.len(), 1);
}

/// R63: a webhook has one owner among the live workers. It gets another one when that owner has stopped or fallen
/// silent.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_webhook_has_one_owner(db: PgPool) {
    let store = Store::from(db.clone());
    let (tenant, webhook, first) = owned(&db, &[]).await;
    let (second, third) = (worker(&db).await, worker(&db).await);
    let claim = async |worker| follow::claim(store.for_all_tenants(), worker, 10).await.unwrap();
    assert_eq!(claim(second).await, []);
    assert_eq!(claim(first).await, [(tenant, webhook)], "it keeps what it has");
    let silent = "UPDATE workers SET last_seen = now() - interval '16 seconds' WHERE id = $1";
    sqlx::query(silent).bind(first).execute(&db).await.unwrap();
    assert_eq!(claim(second).await, [(tenant, webhook)]);
    assert!(follow::held(store.of(tenant), webhook, first, 10).await.unwrap().is_none());
    workers::stopped(&db, second).await.unwrap();
    assert_eq!(claim(third).await, [(tenant, webhook)]);
    follow::release(store.for_all_tenants(), third).await.unwrap();
    let fourth = worker(&db).await;
    assert_eq!(claim(fourth).await, [(tenant, webhook)]);
    webhooks::change(
        store.of(tenant),
        webhook,
        &Change { enabled: Some(false), ..Change::default() },
        store::audit::Operator::System("test"),
    )
    .await
    .unwrap()
    .quietly();
    assert_eq!(claim(fourth).await, []);
    assert!(follow::held(store.of(tenant), webhook, fourth, 10).await.unwrap().is_none(), "disabled: nobody moves it");
}

/// R63: workers that look at the same moment share the free webhooks, and none is claimed twice.
#[sqlx::test(migrator = "MIGRATOR")]
async fn nobody_claims_what_another_claims(db: PgPool) {
    let store = Store::from(db.clone());
    for _ in 0..3 {
        let tenant = rows::tenant(&db).await;
        for _ in 0..10 {
            webhooks::create(store.of(tenant), URL, &[], store::audit::Operator::System("test")).await.unwrap();
        }
    }
    let claims = (0..6).map(|_| async {
        let worker = worker(&db).await;
        follow::claim(store.for_all_tenants(), worker, 10).await.unwrap()
    });
    let mut all = futures::future::join_all(claims).await.concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((count, all.len()), (all.len(), count), "each has one owner");
    let last = worker(&db).await;
    let rest = follow::claim(store.for_all_tenants(), last, 100).await.unwrap();
    assert_eq!(count + rest.len(), 30);
}

/// R63: order is kept within an account during the first failures. After that, a failed delivery delays no other.
#[sqlx::test(migrator = "MIGRATOR")]
async fn order_is_kept_within_an_account(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    let (ada, bob) = (Some(AccountId::new()), Some(AccountId::new()));
    for (n, account) in [ada, ada, bob, None, ada].into_iter().enumerate() {
        happen(&db, of.0, account, "a.b", n).await;
    }
    take_all(&db, of, 5).await;
    let first = due(&db, of).await;
    assert_eq!(numbers(&first), [0, 1, 2, 3, 4]);
    for attempts in 0..retry::HOLDS_ATTEMPTS {
        assert_eq!(first[0].lane, first[1].lane);
        let verdict = Verdict { again_in: Some(HOUR), ..verdict(Fault::Receiver, attempts, Duration::ZERO, 0.5) };
        ends::failed(store.of(of.0), (first[0].id, attempts), (Some(500), "status"), verdict, true).await.unwrap();
        let held_up = attempts + 1 < retry::HOLDS_ATTEMPTS;
        let (now, next) = follow::due(store.of(of.0), of.1, 100).await.unwrap();
        assert_eq!(numbers(&now), if held_up { vec![2, 3] } else { vec![1, 2, 3, 4] }, "{attempts}");
        assert!(next.unwrap() > Duration::from_secs(3_500));
    }
    // a late report about an attempt that was already counted does not count again
    let late = ends::failed(store.of(of.0), (first[0].id, 0), (None, "timeout"), OVER, true).await.unwrap();
    assert_eq!(late, None);
    let now = deliveries::get(store.of(of.0), of.1, first[0].id).await.unwrap();
    assert_eq!((now.state, now.attempts, now.last_status), (State::Pending, retry::HOLDS_ATTEMPTS, Some(500)));
}

/// R63: a 2xx ends a delivery and removes its data. A delivery that failed for good may be tried again; one that was
/// delivered may not.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delivery_ends_once(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    happen(&db, of.0, None, "a.b", 0).await;
    happen(&db, of.0, None, "a.b", 1).await;
    take_all(&db, of, 2).await;
    let [one, two] = &due(&db, of).await[..] else { panic!("two are due") };
    let once = Verdict { attempts: 1, ..OVER };
    assert!(ends::failed(store.of(of.0), (one.id, 0), (None, "timeout"), once, true).await.unwrap().is_some());
    assert_eq!(held(&db, of).await.failures, 1);
    assert!(ends::delivered(store.of(of.0), two.id, 204).await.unwrap().is_some());
    assert_eq!(ends::delivered(store.of(of.0), two.id, 204).await.unwrap(), None);
    let now = held(&db, of).await;
    assert_eq!((now.failures, now.failing_since, now.waiting), (0, None, 0));
    let listed = deliveries::list(store.of(of.0), of.1, None, None, 10).await.unwrap();
    let ends: Vec<_> = listed.iter().map(|d| (d.state, d.attempts, d.last_error.as_deref())).collect();
    assert_eq!(ends, [(State::Delivered, 1, None), (State::Failed, 1, Some("timeout"))]);
    let data = "SELECT count(*) FROM webhook_deliveries WHERE data IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(data).fetch_one(&db).await.unwrap(), 1);
    let again = deliveries::retry(store.of(of.0), of.1, one.id).await.unwrap().quietly();
    assert_eq!((again.state, again.attempts, due(&db, of).await.len()), (State::Pending, 0, 1));
    assert!(matches!(deliveries::retry(store.of(of.0), of.1, two.id).await, Err(Error::Conflict(_))));
    assert_eq!(webhooks::prune_deliveries(store.for_all_tenants(), Duration::from_secs(60), 10).await.unwrap(), 0);
    assert_eq!(
        webhooks::prune_deliveries(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(),
        1,
        "what waits is kept"
    );
}

/// R63: a webhook that has failed for days is disabled, with an event. After it is enabled, it goes on where it
/// stopped.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_fails_for_days_is_disabled(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &["a.b"]).await;
    happen(&db, of.0, None, "a.b", 0).await;
    take_all(&db, of, 1).await;
    let late = due(&db, of).await[0].id;
    let again = Verdict { attempts: 1, again_in: Some(HOUR), holds: true };
    ends::failed(store.of(of.0), (late, 0), (Some(503), "status"), again, true).await.unwrap();
    assert!(!ends::disable(store.of(of.0), of.1, "failing", retry::DISABLED_AFTER).await.unwrap(), "not for days");
    sqlx::query("UPDATE webhooks SET failing_since = now() - interval '73 hours'").execute(&db).await.unwrap();
    assert!(ends::disable(store.of(of.0), of.1, "failing", retry::DISABLED_AFTER).await.unwrap());
    assert!(!ends::disable(store.of(of.0), of.1, "failing", retry::DISABLED_AFTER).await.unwrap(), "once");
    let now = webhooks::get(store.of(of.0), of.1).await.unwrap();
    assert_eq!((now.enabled, now.disabled_reason.as_deref()), (false, Some("failing")));
    let said = "SELECT data->>'reason' FROM events WHERE kind = 'webhook.disabled'";
    assert_eq!(sqlx::query_scalar::<_, String>(said).fetch_one(&db).await.unwrap(), "failing");
    happen(&db, of.0, None, "a.b", 1).await;
    webhooks::change(
        store.of(of.0),
        of.1,
        &Change { enabled: Some(true), ..Change::default() },
        store::audit::Operator::System("test"),
    )
    .await
    .unwrap()
    .quietly();
    let now = webhooks::get(store.of(of.0), of.1).await.unwrap();
    assert_eq!((now.enabled, now.disabled_reason, now.failures, now.failing_since), (true, None, 0, None));
    take_all(&db, of, 2).await;
    assert_eq!(numbers(&due(&db, of).await), [0, 1], "what waited is due at once, and what happened meanwhile comes");
}

/// R63, R64: the number of a tenant's webhooks is limited, however many requests arrive at once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn webhooks_are_bounded(db: PgPool) {
    let store = Store::from(db.clone());
    let (full, other) = (rows::tenant(&db).await, rows::tenant(&db).await);
    let made = futures::future::join_all(
        (0..MAX_PER_TENANT + 5)
            .map(|_| webhooks::create(store.of(full), URL, &[], store::audit::Operator::System("test"))),
    )
    .await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count() as i64, MAX_PER_TENANT);
    assert!(made.iter().all(|made| matches!(made, Ok(_) | Err(Error::Conflict(_)))));
    webhooks::create(store.of(other), URL, &[], store::audit::Operator::System("test")).await.unwrap();
    assert!(matches!(
        webhooks::create(store.of(TenantId::new()), URL, &[], store::audit::Operator::System("test")).await,
        Err(Error::NotFound)
    ));
}
