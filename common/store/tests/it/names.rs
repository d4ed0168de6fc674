//! The lock on a worker's name, and what it allows.

use std::time::Duration;

use domain::id::{AccountId, WorkerId};
use kit::{rows, until};
use sqlx::PgPool;
use store::workers::name::{self, Name};
use store::{Store, leases, workers};

const LEASE: Duration = Duration::from_secs(15);

async fn boot(pool: &PgPool, name: &str, holds_name: bool) -> WorkerId {
    let worker = WorkerId::new();
    let boot = workers::Boot { name, holds_name, version: "0", release: "1", capacity: 10, lease: LEASE };
    workers::register(pool, worker, boot).await.unwrap();
    worker
}

async fn account_of(pool: &PgPool, owner: WorkerId) -> AccountId {
    let account = rows::Account { owner: Some(owner), epoch: 1, ..rows::Account::of("connected") };
    account.of_new_tenant(pool).await.1
}

async fn owner(pool: &PgPool, account: AccountId) -> Option<WorkerId> {
    leases::get(Store::from(pool.clone()).for_all_tenants(), account).await.unwrap().unwrap().owner
}

/// R111: one holds a name at a time, for as long as its connection lives.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn one_holds_a_name_at_a_time(pool: PgPool) {
    let mut first = Name::take(&pool, "a").await.unwrap().unwrap();
    assert!(Name::take(&pool, "a").await.unwrap().is_none());
    assert!(Name::take(&pool, "b").await.unwrap().is_some(), "another name is free");
    first.check().await.unwrap();
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query(ended).execute(&pool).await.unwrap();
    until("the lock to be free", async || Name::take(&pool, "a").await.unwrap()).await;
    assert!(first.check().await.is_err(), "it knows that the lock is lost");
}

/// R111: what boots under the same name owned is given back, if they held the lock. All else stays.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_dead_boots_of_the_name_lose_their_accounts(pool: PgPool) {
    let store = Store::from(pool.clone());
    let dead = boot(&pool, "a", true).await;
    let (unlocked, other) = (boot(&pool, "a", false).await, boot(&pool, "b", true).await);
    let lost = account_of(&pool, dead).await;
    let kept = [account_of(&pool, unlocked).await, account_of(&pool, other).await];
    let new = boot(&pool, "a", true).await;
    let own = account_of(&pool, new).await;

    let given = name::give_back_of_former(store.for_all_tenants(), new, "a").await.unwrap();
    assert_eq!(given, (vec![dead], 1));
    assert_eq!(owner(&pool, lost).await, None);
    assert_eq!([owner(&pool, kept[0]).await, owner(&pool, kept[1]).await], [Some(unlocked), Some(other)]);
    assert_eq!(owner(&pool, own).await, Some(new));
    assert!(workers::heartbeat(&pool, dead, 1).await.is_err(), "its late heartbeat revives nothing");

    // the heir died before it took the leases: the next one still knows the first boot
    let next = boot(&pool, "a", true).await;
    let (former, freed) = name::give_back_of_former(store.for_all_tenants(), next, "a").await.unwrap();
    assert!(former.contains(&dead) && former.contains(&new) && former.len() == 2, "{former:?}");
    assert_eq!(freed, 1);
}
