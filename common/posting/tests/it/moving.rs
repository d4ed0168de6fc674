//! Moving webhooks: what a receiver that limits, refuses, hiccups or is changed does to what waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::id::AccountId;
use serde_json::json;
use sqlx::PgPool;
use store::MIGRATOR;
use store::webhooks::{self, Change, deliveries};

use crate::house::{Answer, Mover, Receiver};

const DELIVERED: &str = "SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'";

/// R63: a receiver that takes five a second and answers 429 above gets all, in order within each account, at about its rate;
/// the limit costs no attempt.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_limits_its_rate_gets_all(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let (rate, burst) = (5.0_f64, 5.0_f64);
    let (mut tokens, mut at) = (burst, Instant::now());
    let receiver = Receiver::start(move |_| {
        let now = Instant::now();
        tokens = burst.min(tokens + now.duration_since(at).as_secs_f64() * rate);
        at = now;
        let takes = tokens >= 1.0;
        tokens -= f64::from(u8::from(takes));
        Answer::Status(if takes { 200 } else { 429 })
    })
    .await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let accounts: Vec<_> = (0..20).map(|_| Some(AccountId::new())).collect();
    let all: Vec<_> = (0..4).flat_map(|n| accounts.iter().map(move |account| (*account, "a.b", n))).collect();
    let start = Instant::now();
    mover.happen(tenant, &all).await;
    mover.counts(DELIVERED, 80).await;
    let received = receiver.received();
    let limited = received.iter().filter(|(_, status)| *status == Some(429)).count();
    println!("80 events within {:?}, {limited} answers 429", start.elapsed());
    for account in accounts {
        let taken =
            received.iter().filter(|(event, status)| event["account_id"] == json!(account) && *status == Some(200));
        let numbers: Vec<_> = taken.map(|(event, _)| event["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
    assert_eq!(mover.count("SELECT max(attempts)::bigint FROM webhook_deliveries").await, 1);
    assert!(limited < 160, "{limited}: it was left alone when it asked for it");
    mover.stop().await;
}

/// R63: a receiver that refuses one kind of event gets the others all the same, and soon; it does not count as failing.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_kind_that_is_refused_holds_up_no_other(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|event| Answer::Status(if event["kind"] == "a.bad" { 422 } else { 200 })).await;
    let tenant = mover.tenant().await;
    let webhook = mover.webhook(tenant, &receiver).await;
    let (ada, bob) = (Some(AccountId::new()), Some(AccountId::new()));
    let mut all: Vec<_> = (0..1_100).map(|n| (ada, "a.bad", n)).collect();
    all.push((bob, "a.good", 0));
    mover.happen(tenant, &all).await;
    let start = Instant::now();
    mover.counts(DELIVERED, 1).await;
    println!("behind 1,100 that were refused, within {:?}; {} requests", start.elapsed(), receiver.received().len());
    let now = webhooks::get(mover.store.of(tenant), webhook).await.unwrap();
    assert!(now.enabled);
    mover.stop().await;
}

/// R63: a webhook is not disabled for one failure after days without anything to post.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_hiccup_after_a_quiet_spell_disables_nothing(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let mut answers = [503].into_iter();
    let receiver = Receiver::start(move |_| Answer::Status(answers.next().unwrap_or(200))).await;
    let tenant = mover.tenant().await;
    let webhook = mover.webhook(tenant, &receiver).await;
    let long = "UPDATE webhooks SET failures = 1, failing_since = now() - interval '4 days'";
    sqlx::query(long).execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(None, "a.b", 0)]).await;
    mover.counts(DELIVERED, 1).await;
    let now = webhooks::get(mover.store.of(tenant), webhook).await.unwrap();
    assert_eq!((now.enabled, now.failures, now.failing_since), (true, 0, None));
    assert_eq!(receiver.received().len(), 2);
    mover.stop().await;
}

/// R63: who asks for a test, or says where the receiver is now, does not wait for the end of a pause.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_person_ends_a_pause(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let receiver =
        Receiver::start(move |_| Answer::Status(if is_mended.load(Ordering::SeqCst) { 200 } else { 503 })).await;
    let tenant = mover.tenant().await;
    let webhook = mover.webhook(tenant, &receiver).await;
    let down = "UPDATE webhooks SET failures = 50, failing_since = now() - interval '1 hour'";
    sqlx::query(down).execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(Some(AccountId::new()), "a.b", 0), (Some(AccountId::new()), "a.b", 1)]).await;
    receiver.got(1, |_| true).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE failures = 51", 1).await;
    // what happens meanwhile ends no pause
    mover.happen(tenant, &[(None, "a.b", 2)]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(receiver.received().len(), 1);
    deliveries::test(mover.store.of(tenant), webhook).await.unwrap().quietly();
    mover.bus.signal(tenant);
    let took = receiver.got(1, |event| event["kind"] == "webhook.test").await;
    mover.counts("SELECT count(*) FROM webhooks WHERE failures = 52", 1).await;
    mended.store(true, Ordering::SeqCst);
    let change = Change { url: Some(receiver.url.clone()), ..Change::default() };
    webhooks::change(mover.store.of(tenant), webhook, &change, store::audit::Operator::System("test"))
        .await
        .unwrap()
        .quietly();
    mover.bus.signal(tenant);
    let start = Instant::now();
    mover.counts(DELIVERED, 4).await;
    println!("a test came within {took:?}, all that waited within {:?}", start.elapsed());
    assert!(took < Duration::from_secs(20) && start.elapsed() < Duration::from_secs(20), "{took:?}");
    mover.stop().await;
}

/// R63: from a change of the URL on, at most what is under way goes to the old one.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_url_that_changed_is_left_at_once(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let old = Receiver::start(|_| Answer::Slow(Duration::from_secs(1))).await;
    let new = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    let webhook = mover.webhook(tenant, &old).await;
    let account = Some(AccountId::new());
    mover.happen(tenant, &[0, 1, 2, 3, 4, 5].map(|n| (account, "a.b", n))).await;
    old.got(1, |_| true).await;
    let before = old.received().len();
    let change = Change { url: Some(new.url.clone()), ..Change::default() };
    webhooks::change(mover.store.of(tenant), webhook, &change, store::audit::Operator::System("test"))
        .await
        .unwrap()
        .quietly();
    mover.counts(DELIVERED, 6).await;
    let (old, new) = (old.received().len(), new.received().len());
    assert!(old <= before + 1 && old + new == 6, "{before} before, {old} to the old one, {new} to the new one");
    mover.stop().await;
}

/// R97: a receiver that is back is found within five seconds, however long the next attempt waits and whoever watches by then; what
/// waited goes at once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_is_back_is_found(pool: PgPool) {
    let mover = Mover::start(pool.clone()).await;
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let receiver = Receiver::start(move |_| Answer::Status(if seen.load(Ordering::Relaxed) { 200 } else { 502 })).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    mover.happen(tenant, &[(Some(AccountId::new()), "a.b", 0), (Some(AccountId::new()), "a.b", 1)]).await;
    mover.counts("SELECT count(*) FROM webhook_deliveries WHERE attempts > 0", 2).await;
    // an outage of a while: the next attempts are far away
    let far = "UPDATE webhook_deliveries SET attempts = 8, next_attempt_at = now() + interval '2 hours'";
    sqlx::query(far).execute(&mover.pool).await.unwrap();
    there.store(true, Ordering::Relaxed);
    let start = Instant::now();
    mover.counts(DELIVERED, 2).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    mover.stop().await;

    there.store(false, Ordering::Relaxed);
    let mover = Mover::start(pool).await;
    mover.happen(tenant, &[(Some(AccountId::new()), "a.b", 2)]).await;
    mover.counts("SELECT count(*) FROM webhook_deliveries WHERE attempts > 0 AND state = 'pending'", 1).await;
    let pool = mover.pool.clone();
    mover.stop().await;
    sqlx::query(far).execute(&pool).await.unwrap();
    there.store(true, Ordering::Relaxed);
    let next = Mover::start(pool).await;
    let start = Instant::now();
    next.counts(DELIVERED, 3).await;
    println!("found {:?} after a hand-over", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    next.stop().await;
}

/// R97: a receiver that answers a question and takes nothing is not asked again: its deliveries keep their attempts.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_only_seems_back_costs_one_attempt(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start_with_head(200, |_| Answer::Status(500)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    mover.happen(tenant, &[(Some(AccountId::new()), "a.b", 0)]).await;
    mover.counts("SELECT count(*) FROM webhook_deliveries WHERE attempts = 1", 1).await;
    let far = "UPDATE webhook_deliveries SET attempts = 8, next_attempt_at = now() + interval '2 hours'";
    sqlx::query(far).execute(&mover.pool).await.unwrap();
    mover.counts("SELECT count(*) FROM webhook_deliveries WHERE attempts = 9", 1).await;
    tokio::time::sleep(Duration::from_secs(6)).await; // longer than the wait between two questions
    assert_eq!(mover.count("SELECT max(attempts)::bigint FROM webhook_deliveries").await, 9);
    mover.stop().await;
}

/// R97: a receiver that refuses everything shows as failing with since when, and is disabled as one that is not there; a single one
/// that it takes ends that.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receiver_that_refuses_everything_fails(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|event| Answer::Status(if event["kind"] == "a.good" { 200 } else { 401 })).await;
    let tenant = mover.tenant().await;
    let webhook = mover.webhook(tenant, &receiver).await;
    mover.happen(tenant, &[(None, "a.b", 0)]).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE failing_since IS NOT NULL AND refusals > 0", 1).await;
    let shown = webhooks::get(mover.store.of(tenant), webhook).await.unwrap();
    assert!(shown.enabled && shown.failures > 0 && shown.failing_since.is_some(), "{shown:?}");
    mover.happen(tenant, &[(None, "a.good", 1)]).await;
    mover.counts(DELIVERED, 1).await;
    sqlx::query("DELETE FROM webhook_deliveries").execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(None, "a.b", 2)]).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE failing_since > now() - interval '1 minute'", 1).await;
    let long = "UPDATE webhooks SET failing_since = now() - interval '73 hours', version = version + 1";
    sqlx::query(long).execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(None, "a.b", 3)]).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE NOT enabled AND disabled_reason = 'failing'", 1).await;
    mover.stop().await;
}
