//! Answers that are stored for repeated requests.

use std::time::Duration;

use domain::id::TenantId;
use sqlx::PgPool;
use store::audit::Operator;
use store::idempotency::{self, Answer, Begun, Key, Turn};
use store::{Store, tenants};

fn key(text: &str, request: u8) -> Option<Key> {
    Some(Key { key: text.to_owned(), request: [request; 32] })
}

fn answer(body: &str) -> Answer {
    Answer { status: 201, location: Some("/v1/tenants/x".to_owned()), body: body.as_bytes().to_vec(), sealed: false }
}

fn first<A>(begun: Begun<A>) -> Turn<A> {
    match begun {
        Begun::First(turn) => turn,
        Begun::Again(_) => panic!("it was answered"),
        Begun::Reused => panic!("another request has the key"),
    }
}

/// R76: a request that dies before its commit leaves neither its work nor its claim. A request that ended is answered
/// from its row.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn work_and_answer_are_one(db: PgPool) {
    let store = Store::from(db.clone());
    let begin = |request| idempotency::begin_for_admin(store.for_all_tenants(), key("k", request));
    for ends in [false, true] {
        let mut turn = first(begin(1).await.unwrap());
        tenants::create(turn.of(TenantId::new()), "once", Operator::System("test")).await.unwrap();
        if ends {
            turn.end(&answer("done"), None).await.unwrap();
        } else {
            drop(turn); // as if the process died, or the client gave up
        }
        let made: i64 = sqlx::query_scalar("SELECT count(*) FROM tenants").fetch_one(&db).await.unwrap();
        assert_eq!(made, i64::from(ends));
    }
    let Begun::Again(kept) = begin(1).await.unwrap() else { panic!("not answered") };
    assert!(kept == answer("done"));
    assert!(matches!(begin(2).await.unwrap(), Begun::Reused));
}

/// R76: the second of two simultaneous requests waits for the end of the first. If the first left nothing, the second
/// does the work.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_second_waits_for_the_first(db: PgPool) {
    let store = Store::from(db.clone());
    let tenant = TenantId::new();
    tenants::create(store.of(tenant), "t", Operator::System("test")).await.unwrap();
    for ends in [false, true] {
        let turn = first(idempotency::begin(store.of(tenant), key("k", 1)).await.unwrap());
        let second = tokio::spawn({
            let store = store.clone();
            async move { idempotency::begin(store.of(tenant), key("k", 1)).await.unwrap() }
        });
        while !is_waited_for(&db).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!second.is_finished());
        if ends {
            turn.end(&answer("x"), None).await.unwrap()
        } else {
            drop(turn)
        }
        match second.await.unwrap() {
            Begun::First(_) => assert!(!ends),
            Begun::Again(kept) => assert!(ends && kept == answer("x")),
            Begun::Reused => panic!("it is the same request"),
        }
    }
}

async fn is_waited_for(db: &PgPool) -> bool {
    let waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    sqlx::query_scalar(waits).fetch_one(db).await.unwrap()
}

/// R76: without a key every step commits by itself. The keys of a tenant are separate from those of other tenants and
/// of the operator.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_are_a_tenants_own(db: PgPool) {
    let store = Store::from(db.clone());
    let (one, two) = (TenantId::new(), TenantId::new());
    for tenant in [one, two] {
        tenants::create(store.of(tenant), "t", Operator::System("test")).await.unwrap();
    }
    for tenant in [one, two] {
        let begin = |key| idempotency::begin(store.of(tenant), key);
        first(begin(key("k", 1)).await.unwrap()).end(&answer("x"), None).await.unwrap();
        assert!(matches!(begin(key("k", 1)).await.unwrap(), Begun::Again(_)));
        first(begin(None).await.unwrap()).end(&answer("x"), None).await.unwrap();
    }
    let begin = |key| idempotency::begin_for_admin(store.for_all_tenants(), key);
    first(begin(key("k", 1)).await.unwrap()).end(&answer("x"), None).await.unwrap();
    assert!(matches!(begin(key("k", 1)).await.unwrap(), Begun::Again(_)));
    first(begin(None).await.unwrap()).end(&answer("x"), None).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM answers").fetch_one(&db).await.unwrap();
    assert_eq!(kept, 3);
    sqlx::query("DELETE FROM tenants WHERE id = $1").bind(one).execute(&db).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM answers").fetch_one(&db).await.unwrap();
    assert_eq!(kept, 2, "they go with their tenant");
}

/// R76: answers are kept for a day and then removed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn answers_are_forgotten_after_a_day(db: PgPool) {
    let store = Store::from(db.clone());
    let begin = |name, request| idempotency::begin_for_admin(store.for_all_tenants(), key(name, request));
    for name in ["a", "b", "c"] {
        first(begin(name, 1).await.unwrap()).end(&answer("x"), None).await.unwrap();
    }
    sqlx::query("UPDATE answers SET created_at = now() - interval '24 hours 1 minute' WHERE key <> 'c'")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(idempotency::prune(store.for_all_tenants(), 1).await.unwrap(), 1);
    assert_eq!(idempotency::prune(store.for_all_tenants(), 10).await.unwrap(), 1);
    assert_eq!(idempotency::prune(store.for_all_tenants(), 10).await.unwrap(), 0);
    first(begin("a", 2).await.unwrap());
    assert!(matches!(begin("c", 1).await.unwrap(), Begun::Again(_)));
}
