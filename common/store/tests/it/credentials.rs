//! Credentials: which writes the fence allows.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::rows;
use sqlx::{ConnectOptions as _, PgPool};
use store::credentials::{CredentialStore, Record};
use store::seal::Sealer;
use store::{Error, Fence, Store};

const KIND: i16 = 3;

fn sealer(keys: &[(&str, u8)]) -> Arc<Sealer> {
    let text: Vec<String> = keys.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
    Arc::new(Sealer::parse(&text.join(",")).unwrap())
}

async fn store(pool: &PgPool) -> CredentialStore {
    CredentialStore::new(Store::from(pool.clone()).under(rows::claimed(pool).await), sealer(&[("a", 1)]))
}

fn record(name: &str, number: i64, text: &str) -> Record {
    Record::new(name, text.as_bytes()).numbered(number)
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_put_is_read_back(pool: PgPool) {
    let store = store(&pool).await;
    store.put_many(KIND, vec![record("b", 2, "two"), record("a", 1, "old"), record("a", 1, "one")]).await.unwrap();
    assert_eq!(store.get(KIND, "a").await.unwrap(), Some(record("a", 1, "one")));
    assert_eq!(store.get(KIND, "c").await.unwrap(), None);
    assert_eq!(store.get(KIND + 1, "a").await.unwrap(), None);
    assert_eq!(store.list(KIND).await.unwrap(), [record("a", 1, "one"), record("b", 2, "two")]);
    assert_eq!(store.last(KIND).await.unwrap(), Some(record("b", 2, "two")));
    assert_eq!(store.get_many(KIND, &["b".into(), "c".into()]).await.unwrap(), [record("b", 2, "two")]);
    assert!(store.exists(KIND, "a").await.unwrap());
    assert!(!store.exists(KIND, "c").await.unwrap());
    store.put_many(KIND, Vec::new()).await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn prefixes_are_texts_and_no_patterns(pool: PgPool) {
    let store = store(&pool).await;
    store.put_many(KIND, vec![record("123@x", 0, ""), record("1%3:4@x", 0, "")]).await.unwrap();
    let found = async |prefix: &str| store.exists_with_prefix(&[KIND], &[prefix.to_owned()]).await.unwrap();
    assert!(found("123@").await);
    assert!(found("1%3:").await);
    assert!(!found("1_3@").await);
    assert!(!found("12@").await);
    assert!(!store.exists_with_prefix(&[KIND + 1], &["123@".to_owned()]).await.unwrap());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn new_records_do_not_replace_old_ones(pool: PgPool) {
    let store = store(&pool).await;
    store.put(KIND, record("a", 1, "one")).await.unwrap();
    let present = store.add_new(KIND, vec![record("a", 9, "other"), record("b", 2, "two")]).await.unwrap();
    assert_eq!(present, ["a"]);
    assert_eq!(store.list(KIND).await.unwrap(), [record("a", 1, "one"), record("b", 2, "two")]);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn deleting_by_name_number_prefix(pool: PgPool) {
    let store = store(&pool).await;
    let all = [("a", 0), ("b", 5), ("c", 10), ("g:1", 1), ("g:2", 0)];
    store.put_many(KIND, all.iter().map(|(name, number)| record(name, *number, "")).collect()).await.unwrap();
    store.delete_many(KIND, &["a".into(), "z".into()]).await.unwrap();
    assert_eq!(store.get(KIND, "a").await.unwrap(), None);
    assert_eq!(store.delete_matching(KIND, "", Some(10)).await.unwrap(), 2, "0 means kept for good");
    assert_eq!(store.delete_matching(KIND, "g:", None).await.unwrap(), 1);
    assert_eq!(store.take(KIND, "c").await.unwrap(), Some(record("c", 10, "")));
    assert_eq!(store.take(KIND, "c").await.unwrap(), None);
    assert!(store.list(KIND).await.unwrap().is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stale_epoch_writes_nothing(pool: PgPool) {
    let store = store(&pool).await;
    store.put(KIND, record("a", 1, "one")).await.unwrap();
    sqlx::query("UPDATE leases SET epoch = 2").execute(&pool).await.unwrap();
    assert!(matches!(store.put(KIND, record("a", 1, "other")).await, Err(Error::Fenced)));
    assert!(matches!(store.put(KIND, record("b", 1, "other")).await, Err(Error::Fenced)));
    assert!(matches!(store.add_new(KIND, vec![record("b", 1, "")]).await, Err(Error::Fenced)));
    assert!(matches!(store.delete_many(KIND, &["a".into()]).await, Err(Error::Fenced)));
    assert!(matches!(store.delete_matching(KIND, "", None).await, Err(Error::Fenced)));
    assert!(matches!(store.take(KIND, "a").await, Err(Error::Fenced)));
    assert_eq!(store.list(KIND).await.unwrap(), [record("a", 1, "one")]);
    // a removed account is fenced as well
    sqlx::query("DELETE FROM accounts").execute(&pool).await.unwrap();
    assert!(matches!(store.put(KIND, record("a", 1, "other")).await, Err(Error::Fenced)));
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_waits_for_a_write_under_way_and_a_write_for_a_claim(pool: PgPool) {
    let store = store(&pool).await;
    // a fenced write before its commit: this is the beginning of every write's statement
    let mut writer = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM leases WHERE account_id = $1 AND epoch = 1 FOR SHARE")
        .bind(store.fence().account.0)
        .execute(&mut *writer)
        .await
        .unwrap();
    let claimer = pool.clone();
    let claim =
        tokio::spawn(async move { sqlx::query("UPDATE leases SET epoch = 2").execute(&claimer).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!claim.is_finished(), "the claim must wait");
    writer.commit().await.unwrap();
    claim.await.unwrap();

    // a write during a claim is decided by the result of the claim
    let mut claim = pool.begin().await.unwrap();
    sqlx::query("UPDATE leases SET epoch = 3").execute(&mut *claim).await.unwrap();
    let owner =
        CredentialStore::new(Store::from(pool.clone()).under(Fence { epoch: 2, ..store.fence() }), sealer(&[("a", 1)]));
    let write = tokio::spawn(async move { owner.put(KIND, record("a", 1, "late")).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!write.is_finished(), "the write must wait");
    claim.commit().await.unwrap();
    assert!(matches!(write.await.unwrap(), Err(Error::Fenced)));
    assert!(store.list(KIND).await.unwrap().is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_row_moved_or_sealed_under_an_unknown_key_does_not_open(pool: PgPool) {
    let store = store(&pool).await;
    store.put(KIND, record("a", 1, "one")).await.unwrap();
    let clear: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials WHERE position('one'::bytea in sealed) > 0")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(clear, 0, "nothing is stored in clear");
    sqlx::query("UPDATE credentials SET name = 'b'").execute(&pool).await.unwrap();
    assert!(matches!(store.get(KIND, "b").await, Err(Error::Corrupt(_))));
    sqlx::query("UPDATE credentials SET name = 'a'").execute(&pool).await.unwrap();
    let other = CredentialStore::new(Store::from(pool.clone()).under(store.fence()), sealer(&[("b", 2)]));
    assert!(matches!(other.get(KIND, "a").await, Err(Error::UnknownKey { key_id }) if key_id == "a"));
    let both = CredentialStore::new(Store::from(pool.clone()).under(store.fence()), sealer(&[("b", 2), ("a", 1)]));
    assert_eq!(both.get(KIND, "a").await.unwrap(), Some(record("a", 1, "one")));
}

/// R04: a worker that meets a record under an unknown key deletes nothing that it can't read, and changes nothing of an
/// account that it can't read completely.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_unknown_key_ends_all_writing(pool: PgPool) {
    let store = store(&pool).await;
    store.put_many(KIND, vec![record("a", 1, "one"), record("b", 2, "two")]).await.unwrap();
    let all = store.list(KIND).await.unwrap();
    let other = || CredentialStore::new(Store::from(pool.clone()).under(store.fence()), sealer(&[("b", 2)]));
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::UnknownKey { .. })), "{result:?}");

    let taker = other();
    taker.put(KIND + 1, record("own", 0, "")).await.unwrap();
    refused(taker.take(KIND, "a").await.map(drop));
    assert_eq!(taker.unknown_key(), Some("a"));
    refused(taker.take(KIND + 1, "own").await.map(drop));
    let reader = other();
    refused(reader.get_many(KIND, &["b".into()]).await.map(drop));
    refused(reader.put(KIND, record("b", 9, "other")).await);
    refused(reader.add_new(KIND, vec![record("c", 9, "other")]).await.map(drop));
    refused(reader.delete_many(KIND, &["a".into()]).await.map(drop));
    refused(reader.delete_matching(KIND, "", None).await.map(drop));
    assert_eq!(store.list(KIND).await.unwrap(), all);
}

/// A client's tasks outlive its connection. Their writes are refused after its end. A write that is under way is waited
/// for, so that it can't land after a later one.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_closed_store_writes_nothing_more(pool: PgPool) {
    let store = store(&pool).await;
    store.put(KIND, record("a", 1, "one")).await.unwrap();
    // a write that waits for an unfinished claim
    let mut claim = pool.begin().await.unwrap();
    sqlx::query("UPDATE leases SET claimed_at = now()").execute(&mut *claim).await.unwrap();
    let late = store.clone();
    let write = tokio::spawn(async move { late.put(KIND, record("b", 2, "two")).await });
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let mut close = std::pin::pin!(store.close());
    assert!(futures::poll!(&mut close).is_pending(), "a write is under way");
    assert!(matches!(store.put(KIND, record("c", 3, "")).await, Err(Error::Closed)));
    claim.commit().await.unwrap();
    close.await;
    write.await.unwrap().unwrap();
    assert!(matches!(store.put(KIND, record("a", 9, "late")).await, Err(Error::Closed)));
    assert!(matches!(store.take(KIND, "a").await, Err(Error::Closed)));
    assert_eq!(store.list(KIND).await.unwrap(), [record("a", 1, "one"), record("b", 2, "two")]);
}

/// R110: accounts whose leases another transaction has locked do not hold up the writes of others, and their own writes
/// go out when the locks are gone.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn locked_accounts_hold_up_no_others(pool: PgPool) {
    let sessions = pool.connect_options().to_url_lossy().to_string();
    let all = Store::from(pool.clone()).writing_together_on(store::connect_impatiently(&sessions, 5).unwrap());
    let mut stores = Vec::new();
    for _ in 0..30 {
        let fence = rows::claimed(&pool).await;
        stores.push(CredentialStore::new(all.under(fence), sealer(&[("a", 1)])));
    }
    let mut lock = pool.begin().await.unwrap();
    for locked in &stores[..5] {
        let lease = "SELECT epoch FROM leases WHERE account_id = $1 FOR UPDATE";
        sqlx::query(lease).bind(locked.fence().account).execute(&mut *lock).await.unwrap();
    }
    let (mut late, mut soon) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    for (nth, store) in stores.iter().enumerate() {
        for number in 0..3 {
            let (store, writes) = (store.clone(), if nth < 5 { &mut late } else { &mut soon });
            writes.spawn(async move { store.put(KIND, record("a", number, "text")).await });
        }
    }
    for written in soon.join_all().await {
        written.unwrap();
    }
    assert_eq!(late.len(), 15);
    assert!(late.try_join_next().is_none());
    lock.rollback().await.unwrap();
    for written in late.join_all().await {
        written.unwrap();
    }
    for store in stores {
        assert_eq!(store.get(KIND, "a").await.unwrap(), Some(record("a", 2, "text")), "the last one counts");
    }
}
