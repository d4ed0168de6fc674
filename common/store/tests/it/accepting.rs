//! Requests to send that are accepted together.

use std::time::Duration;

use domain::conflict::Conflict;
use domain::id::{AccountId, TenantId};
use kit::rows::Account;
use sqlx::{ConnectOptions as _, PgPool};
use store::idempotency::{self, Answer, Begun, Key};
use store::messages::{self, Draft, Met, Once};
use store::{Error, MIGRATOR, Store};
use tokio::task::JoinSet;

/// A store as an api has it, whose requests go out together on this many connections.
fn store(db: &PgPool, connections: u32) -> Store {
    let url = db.connect_options().to_url_lossy().to_string();
    Store::from(db.clone()).writing_together_on(store::connect_impatiently(&url, connections).unwrap())
}

fn draft(text: &str) -> Draft {
    Draft { to: "4917012345678".parse().unwrap(), text: text.to_owned(), expires_at: None }
}

/// A request that is answered with the ids of its messages.
fn once(key: &str, request: u8) -> Once {
    let answer = |messages: Vec<messages::Message>| {
        let ids: Vec<String> = messages.iter().map(|message| message.id.to_string()).collect();
        Ok(Answer { status: 202, location: None, body: ids.join(" ").into_bytes(), sealed: false })
    };
    let release_before = Some([request; 32]);
    Once { key: Key { key: key.to_owned(), request: [request; 32] }, release_before, answer: Box::new(answer) }
}

/// What became of a request with a key, in words, and the body of its answer.
fn words(met: Met) -> (&'static str, String) {
    let body = |answer: Answer| String::from_utf8(answer.body).unwrap();
    match met {
        Met::Now(answer) => ("now", body(answer)),
        Met::Before(answer) => ("before", body(answer)),
        Met::ByReleaseBefore(message) => ("by the release before", message.to_string()),
        Met::Reused => ("reused", String::new()),
    }
}

async fn connected(db: &PgPool) -> (TenantId, AccountId) {
    Account::of("connected").of_new_tenant(db).await
}

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

/// Keeps an account from being read by requests until the transaction ends.
async fn locked(db: &PgPool, account: AccountId) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = db.begin().await.unwrap();
    sqlx::query("SELECT FROM accounts WHERE id = $1 FOR UPDATE").bind(account).execute(&mut *lock).await.unwrap();
    lock
}

/// R114: requests that arrive while another one is being written are one transaction, and each has its own answer.
#[sqlx::test(migrator = "MIGRATOR")]
async fn requests_that_arrive_together_are_one_transaction(db: PgPool) {
    let store = store(&db, 2);
    let mut accounts = Vec::new();
    for _ in 0..40 {
        accounts.push(connected(&db).await);
    }
    let mut calls = JoinSet::new();
    for (n, (tenant, account)) in accounts.into_iter().enumerate() {
        let store = store.clone();
        calls.spawn(async move {
            let text = format!("message {n}");
            let stored = messages::accept(store.of(tenant), account, vec![draft(&text)]).await.unwrap().quietly();
            assert_eq!((stored.len(), &stored[0].text, stored[0].account_id), (1, &text, account));
            let read = messages::get(store.of(tenant), stored[0].id).await.unwrap();
            assert_eq!((read.text, read.whatsapp_id), (text, stored[0].whatsapp_id.clone()));
            assert_eq!(read.created_at, stored[0].created_at);
        });
    }
    calls.join_all().await;
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 40);
    let transactions = count(&db, "SELECT count(DISTINCT xmin::text) FROM messages").await;
    assert!(transactions <= 10, "{transactions} transactions");
}

/// R114: of requests that go out together, each is answered for itself: accepted, without a phone, not found, repeated.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_request_has_its_own_answer(db: PgPool) {
    let store = store(&db, 2);
    let (tenant, account) = connected(&db).await;
    let (stranger, foreign) = connected(&db).await;
    let unpaired = Account::of("unpaired").insert(&db, tenant).await;
    let pending = Account::of("pending").insert(&db, tenant).await;
    let accept = async |tenant, account| {
        messages::accept(store.of(tenant), account, vec![draft("x")]).await.map(|stored| stored.quietly().len())
    };
    let accept_once = async |tenant, account, key, request| {
        let met = messages::accept_once(store.of(tenant), account, vec![draft("x")], once(key, request)).await;
        met.map(|met| words(met.quietly()))
    };
    let lock = locked(&db, account).await; // the others gather behind this one
    let release = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        lock.rollback().await.unwrap();
    };
    let answers = tokio::join!(
        accept(tenant, account),
        accept(tenant, foreign),
        accept(tenant, unpaired),
        accept(tenant, pending),
        accept(stranger, foreign),
        accept_once(tenant, account, "a", 1),
        accept_once(tenant, account, "a", 1),
        accept_once(tenant, account, "a", 2),
        accept_once(stranger, foreign, "a", 3),
        accept_once(tenant, foreign, "b", 1),
        accept_once(tenant, unpaired, "c", 1),
        release
    );
    assert_eq!(answers.0.unwrap(), 1);
    assert!(matches!(answers.1, Err(Error::NotFound)));
    assert!(matches!(answers.2, Err(Error::Conflict(Conflict::NotConnected { first_pairing: false }))));
    assert!(matches!(answers.3, Err(Error::Conflict(Conflict::NotConnected { first_pairing: true }))));
    assert_eq!(answers.4.unwrap(), 1);
    let (first, second) = (answers.5.unwrap(), answers.6.unwrap());
    assert_eq!((first.0, second.0, &second.1), ("now", "before", &first.1));
    assert_eq!(answers.7.unwrap().0, "reused");
    assert_eq!(answers.8.unwrap().0, "now");
    assert!(matches!(answers.9, Err(Error::NotFound)));
    assert!(matches!(answers.10, Err(Error::Conflict(Conflict::NotConnected { .. }))));
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 4);
    assert_eq!(count(&db, "SELECT count(*) FROM answers").await, 2, "a refusal leaves its key free");
    assert_eq!(count(&db, "SELECT count(*) FROM idempotency_keys").await, 2);
}

/// R114: a request whose values can't be stored fails alone, and a batch is stored whole or not at all.
#[sqlx::test(migrator = "MIGRATOR")]
async fn one_that_can_not_be_stored_fails_alone(db: PgPool) {
    let store = store(&db, 2);
    let mut calls = JoinSet::new();
    for n in 0..30 {
        let (store, (tenant, account)) = (store.clone(), connected(&db).await);
        let last = if n == 20 { "a\0b" } else { "b" };
        let drafts = vec![draft("a"), draft(last)];
        calls.spawn(async move { (n, messages::accept(store.of(tenant), account, drafts).await.is_ok()) });
    }
    for (n, is_stored) in calls.join_all().await {
        assert_eq!(is_stored, n != 20, "{n}");
    }
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 58);
}

/// R114: a request whose account another transaction has locked does not hold up the others, and is accepted when the lock
/// is gone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_locked_account_holds_up_no_others(db: PgPool) {
    let store = store(&db, 2);
    let accounts = [connected(&db).await, connected(&db).await, connected(&db).await];
    let lock = locked(&db, accounts[0].1).await;
    let accept = |(tenant, account)| {
        let store = store.clone();
        tokio::spawn(async move { messages::accept(store.of(tenant), account, vec![draft("x")]).await.is_ok() })
    };
    let [late, soon @ ..] = accounts.map(accept);
    for soon in soon {
        assert!(soon.await.unwrap());
    }
    assert!(!late.is_finished());
    lock.rollback().await.unwrap();
    assert!(late.await.unwrap());
}

/// R76, R114: a request waits for another one that has its key, wherever that one is carried out. If that one leaves
/// nothing, it does the work.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_request_waits_for_the_one_that_has_its_key(db: PgPool) {
    let store = store(&db, 2);
    let (tenant, account) = connected(&db).await;
    for ends in [false, true] {
        let key = Key { key: "k".to_owned(), request: [7; 32] };
        let Begun::First(turn) = idempotency::begin(store.of(tenant), Some(key)).await.unwrap() else { panic!("used") };
        let second = tokio::spawn({
            let store = store.clone();
            async move {
                let met = messages::accept_once(store.of(tenant), account, vec![draft("x")], once("k", 1)).await;
                words(met.unwrap().quietly()).0
            }
        });
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while count(&db, waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!second.is_finished());
        if ends {
            let answer = Answer { status: 201, location: None, body: b"x".to_vec(), sealed: false };
            turn.end(&answer, None).await.unwrap();
        } else {
            drop(turn);
        }
        assert_eq!(second.await.unwrap(), if ends { "reused" } else { "now" });
        sqlx::query("DELETE FROM answers").execute(&db).await.unwrap();
        sqlx::query("DELETE FROM idempotency_keys").execute(&db).await.unwrap();
    }
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 1);
}

/// R76, R114: two apis that get the same requests at the same instant, in opposite orders, do each of them once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn two_apis_do_each_request_once(db: PgPool) {
    let apis = [store(&db, 2), store(&db, 2)];
    let (tenant, one) = connected(&db).await;
    let other = Account::of("connected").insert(&db, tenant).await;
    let mut calls = JoinSet::new();
    for n in 0..60 {
        for (api, n) in [(&apis[0], n), (&apis[1], 59 - n)] {
            let (store, account) = (api.clone(), if n % 2 == 0 { one } else { other });
            calls.spawn(async move {
                let drafts = vec![draft("x"), draft("y")];
                let met = messages::accept_once(store.of(tenant), account, drafts, once(&format!("key {n}"), 1)).await;
                (n, words(met.unwrap().quietly()))
            });
        }
    }
    let mut answers: Vec<Vec<(&str, String)>> = vec![Vec::new(); 60];
    for (n, met) in calls.join_all().await {
        answers[n].push(met);
    }
    for mut pair in answers {
        pair.sort();
        assert_eq!((pair[0].0, pair[1].0, &pair[0].1), ("before", "now", &pair[1].1));
    }
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 120);
}

/// R115: the messages of a request are stored in their order, in one statement.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_thousand_messages_keep_their_order(db: PgPool) {
    let store = store(&db, 2);
    let (tenant, account) = connected(&db).await;
    let texts: Vec<String> = (0..1_000).map(|n| format!("message {n}")).collect();
    let drafts = texts.iter().map(|text| draft(text)).collect();
    let stored = messages::accept(store.of(tenant), account, drafts).await.unwrap().quietly();
    let answered: Vec<&str> = stored.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(answered, texts);
    let rows: Vec<(String, uuid::Uuid)> =
        sqlx::query_as("SELECT body, id FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    assert_eq!(rows, stored.into_iter().map(|message| (message.text, message.id.0)).collect::<Vec<_>>());
    assert_eq!(count(&db, "SELECT count(DISTINCT xmin::text) FROM messages").await, 1);
}

/// R114: a database that is away is told at once, and not asked again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_database_that_is_away_is_told_at_once(db: PgPool) {
    let (tenant, account) = connected(&db).await;
    let nowhere = store::connect_impatiently("postgres://127.0.0.1:1/x", 2).unwrap();
    let store = Store::from(db.clone()).writing_together_on(nowhere);
    let error = messages::accept(store.of(tenant), account, vec![draft("x")]).await.err().unwrap();
    assert!(error.is_transient(), "{error}");
}
