//! Moving records from one sealing key to another while sessions write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::rows;
use store::credentials::{CredentialStore, Record};
use store::keys::{self, Place};
use store::seal::Sealer;
use store::{Fence, PgPool, Store};

const KIND: i16 = 3;

fn sealer(keys: &[(&str, u8)]) -> Arc<Sealer> {
    let text: Vec<String> = keys.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
    Arc::new(Sealer::parse(&text.join(",")).unwrap())
}

fn credentials(pool: &PgPool, keys: &[(&str, u8)], fence: Fence) -> CredentialStore {
    CredentialStore::new(Store::from(pool.clone()).under(fence), sealer(keys))
}

/// Goes through all records once. Returns how many were moved and how many were missed.
async fn pass(pool: &PgPool, sealer: &Sealer) -> (u64, u64) {
    let store = Store::from(pool.clone());
    let (mut after, mut moved, mut missed) = (Place::start(), 0, 0);
    loop {
        let batch = keys::reseal(store.for_all_tenants(), sealer, &after, 7).await.unwrap();
        assert!(batch.closed.is_empty());
        (moved, missed) = (moved + batch.resealed, missed + batch.missed);
        let Some(last) = batch.last else { return (moved, missed) };
        after = last;
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_in_use(pool: PgPool) {
    let store = Store::from(pool.clone());
    assert!(keys::in_use(store.for_all_tenants()).await.unwrap().is_empty());
    let fence = rows::claimed(&pool).await;
    for (key, byte) in [("b", 2), ("a", 1), ("c", 3)] {
        let store = credentials(&pool, &[(key, byte)], fence);
        store.put_many(KIND, (0..byte).map(|n| Record::new(format!("{key}{n}"), "x")).collect()).await.unwrap();
    }
    assert_eq!(keys::in_use(store.for_all_tenants()).await.unwrap(), ["a", "b", "c"]);
    assert_eq!(keys::count(store.for_all_tenants(), "c").await.unwrap(), 3);
    assert_eq!(keys::count_others(store.for_all_tenants(), "c").await.unwrap(), 3);
    let opens = async |byte| keys::opens(store.for_all_tenants(), &sealer(&[("c", byte)]), "c").await.unwrap();
    assert!(opens(3).await);
    assert!(!opens(4).await, "another key under the same id");
    assert!(keys::opens(store.for_all_tenants(), &sealer(&[("d", 4)]), "d").await.unwrap(), "nothing to open");
}

/// R04: sessions write, replace and delete while records are moved. Afterwards the latest writes are read, moved
/// records are unchanged, and nothing is left under the old key.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_session_that_writes_meanwhile_wins(pool: PgPool) {
    let store = Store::from(pool.clone());
    const NAMES: usize = 40;
    let (old, new) = ([("old", 1)], [("new", 2), ("old", 1)]);
    let name = |n: usize| format!("record {n:02}");
    let mut fences = Vec::new();
    for _ in 0..4 {
        let fence = rows::claimed(&pool).await;
        let records = (0..NAMES).map(|n| Record::new(name(n), "0")).collect();
        credentials(&pool, &old, fence).put_many(KIND, records).await.unwrap();
        credentials(&pool, &old, fence).put_many(KIND + 1, vec![Record::new("quiet", "as it was")]).await.unwrap();
        fences.push(fence);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for fence in &fences {
        let (store, stop) = (credentials(&pool, &new, *fence), Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            let mut last = vec![0_u64; NAMES];
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let some: Vec<usize> = (0..5).map(|_| rand::random_range(0..NAMES)).collect();
                for n in &some {
                    last[*n] = round;
                }
                let records = some.iter().map(|n| Record::new(format!("record {n:02}"), round.to_string())).collect();
                store.put_many(KIND, records).await.unwrap();
            }
            last
        }));
    }
    let sealer = sealer(&new);
    let before = pass(&pool, &sealer).await;
    assert!(before.0 > 0);
    while pass(&pool, &sealer).await != (0, 0) {}
    stop.store(true, Ordering::Relaxed);
    assert_eq!(keys::in_use(store.for_all_tenants()).await.unwrap(), ["new"]);
    for (fence, writer) in fences.iter().zip(writers) {
        let last = writer.await.unwrap();
        let store = credentials(&pool, &[("new", 2)], *fence);
        let expected: Vec<Record> = (0..NAMES).map(|n| Record::new(name(n), last[n].to_string())).collect();
        assert_eq!(store.list(KIND).await.unwrap(), expected);
        assert_eq!(store.list(KIND + 1).await.unwrap(), [Record::new("quiet", "as it was")]);
    }
}

/// A move waits for no lock: a record that a session has locked is left for later.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_locked_record_is_left_for_later(pool: PgPool) {
    let fence = rows::claimed(&pool).await;
    let records = vec![Record::new("a", "one"), Record::new("b", "two")];
    credentials(&pool, &[("old", 1)], fence).put_many(KIND, records).await.unwrap();
    let mut session = pool.begin().await.unwrap();
    let lock = "SELECT 1 FROM credentials WHERE name = 'a' FOR UPDATE";
    sqlx::query(lock).execute(&mut *session).await.unwrap();
    let sealer = sealer(&[("new", 2), ("old", 1)]);
    assert_eq!(pass(&pool, &sealer).await, (1, 1));
    session.rollback().await.unwrap();
    assert_eq!(pass(&pool, &sealer).await, (1, 0));
    assert_eq!(pass(&pool, &sealer).await, (0, 0));
}

/// A record that can't be opened is named by account and kind, and stays as it is.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_closed_record_is_named_and_left(pool: PgPool) {
    let store = Store::from(pool.clone());
    let fence = rows::claimed(&pool).await;
    credentials(&pool, &[("lost", 9)], fence).put(KIND, Record::new("a", "one")).await.unwrap();
    credentials(&pool, &[("old", 1)], fence).put(KIND, Record::new("b", "two")).await.unwrap();
    let sealer = sealer(&[("new", 2), ("old", 1)]);
    let batch = keys::reseal(store.for_all_tenants(), &sealer, &Place::start(), 10).await.unwrap();
    assert_eq!((batch.resealed, batch.missed, batch.closed), (1, 0, vec![(fence.account, KIND)]));
    assert_eq!(keys::in_use(store.for_all_tenants()).await.unwrap(), ["lost", "new"]);
}
