//! Answers that are kept for repeated requests.

use std::time::Duration;

use domain::id::TenantId;
use sqlx::PgPool;
use store::audit::Operator;
use store::idempotency::{self, Answer, Begun, Key, Turn};
use store::tenants;

fn key(text: &str, request: u8) -> Option<Key> {
    Some(Key { key: text.to_owned(), request: [request; 32] })
}

fn answer(body: &str) -> Answer {
    Answer { status: 201, location: Some("/v1/tenants/x".to_owned()), body: body.as_bytes().to_vec(), sealed: false }
}

async fn first(db: &PgPool, tenant: Option<TenantId>, key: Option<Key>) -> Turn {
    match idempotency::begin(db, tenant, key).await.unwrap() {
        Begun::First(turn) => turn,
        Begun::Again(_) => panic!("it was answered"),
        Begun::Reused => panic!("another request has the key"),
    }
}

/// R76: a request that dies before its commit leaves neither what it did nor its claim; one that ended is answered from its row.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn work_and_answer_are_one(db: PgPool) {
    for ends in [false, true] {
        let mut turn = first(&db, None, key("k", 1)).await;
        tenants::create(turn.db(), TenantId::new(), "once", Operator::System("test")).await.unwrap();
        if ends {
            turn.end(&answer("done"), None).await.unwrap();
        } else {
            drop(turn); // as when the process dies, or the client's time is over
        }
        let made: i64 = sqlx::query_scalar("SELECT count(*) FROM tenants").fetch_one(&db).await.unwrap();
        assert_eq!(made, i64::from(ends));
    }
    let Begun::Again(kept) = idempotency::begin(&db, None, key("k", 1)).await.unwrap() else { panic!("not answered") };
    assert!(kept == answer("done"));
    assert!(matches!(idempotency::begin(&db, None, key("k", 2)).await.unwrap(), Begun::Reused));
}

/// R76: the second of two at once waits for the first one's end; if that came to nothing, the turn is its own.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_second_waits_for_the_first(db: PgPool) {
    let tenant = TenantId::new();
    tenants::create(&db, tenant, "t", Operator::System("test")).await.unwrap();
    for ends in [false, true] {
        let turn = first(&db, Some(tenant), key("k", 1)).await;
        let second = tokio::spawn({
            let db = db.clone();
            async move { idempotency::begin(&db, Some(tenant), key("k", 1)).await.unwrap() }
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

/// R76: without a key every step is its own; a tenant's keys are not another one's, nor the operator's.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_are_a_tenants_own(db: PgPool) {
    let (one, two) = (TenantId::new(), TenantId::new());
    for tenant in [one, two] {
        tenants::create(&db, tenant, "t", Operator::System("test")).await.unwrap();
    }
    for scope in [Some(one), Some(two), None] {
        first(&db, scope, key("k", 1)).await.end(&answer("x"), None).await.unwrap();
        assert!(matches!(idempotency::begin(&db, scope, key("k", 1)).await.unwrap(), Begun::Again(_)));
        first(&db, scope, None).await.end(&answer("x"), None).await.unwrap();
    }
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM answers").fetch_one(&db).await.unwrap();
    assert_eq!(kept, 3);
    sqlx::query("DELETE FROM tenants WHERE id = $1").bind(one).execute(&db).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM answers").fetch_one(&db).await.unwrap();
    assert_eq!(kept, 2, "they go with their tenant");
}

/// R76: answers are kept for a day, and no longer.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn answers_are_forgotten_after_a_day(db: PgPool) {
    for name in ["a", "b", "c"] {
        first(&db, None, key(name, 1)).await.end(&answer("x"), None).await.unwrap();
    }
    sqlx::query("UPDATE answers SET created_at = now() - interval '24 hours 1 minute' WHERE key <> 'c'")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(idempotency::prune_of_all_tenants(&db, 1).await.unwrap(), 1);
    assert_eq!(idempotency::prune_of_all_tenants(&db, 10).await.unwrap(), 1);
    assert_eq!(idempotency::prune_of_all_tenants(&db, 10).await.unwrap(), 0);
    first(&db, None, key("a", 2)).await;
    assert!(matches!(idempotency::begin(&db, None, key("c", 1)).await.unwrap(), Begun::Again(_)));
}
