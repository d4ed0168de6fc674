//! Claims in Postgres: who may raise the epoch, and its effect on writes under the earlier epoch.

use std::time::Duration;

use domain::id::{AccountId, WorkerId};
use kit::rows;
use sqlx::PgPool;
use store::leases::{self, Claimed};
use store::{Error, Fence, Store, session, workers};

use crate::locks::waiting;

const STALE: Duration = Duration::from_secs(15);

/// Accounts that should be online.
async fn accounts(pool: &PgPool, count: usize) -> Vec<AccountId> {
    let tenant = rows::tenant(pool).await;
    let mut accounts = Vec::new();
    for _ in 0..count {
        accounts.push(rows::Account { wanted: "online", ..rows::Account::of("unpaired") }.insert(pool, tenant).await);
    }
    accounts
}

async fn worker(pool: &PgPool) -> WorkerId {
    let worker = WorkerId::new();
    let boot =
        workers::Boot { name: "test", holds_name: false, version: "0", release: "1", capacity: 10, lease: STALE };
    workers::register(pool, worker, boot).await.unwrap();
    worker
}

async fn claim(pool: &PgPool, worker: WorkerId, account: AccountId) -> Option<i64> {
    let store = Store::from(pool.clone());
    let claimed = leases::claim(store.for_all_tenants(), worker, &[account], false).await.unwrap();
    claimed.first().map(|claim| claim.claimed.epoch)
}

/// Sets the worker's last heartbeat to this many seconds ago.
async fn silent(pool: &PgPool, worker: WorkerId, seconds: f64) {
    sqlx::query("UPDATE workers SET last_seen = now() - make_interval(secs => $2) WHERE id = $1")
        .bind(worker.0)
        .bind(seconds)
        .execute(pool)
        .await
        .unwrap();
}

/// R02: no worker takes an account from an owner with a fresh heartbeat, and any worker takes one from an owner with a
/// stale heartbeat.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_is_refused_while_the_owner_is_seen(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let (owner, other) = (worker(&pool).await, worker(&pool).await);
    assert_eq!(claim(&pool, owner, account).await, Some(1));
    assert_eq!(claim(&pool, other, account).await, None);
    silent(&pool, owner, STALE.as_secs_f64() - 5.0).await;
    assert_eq!(claim(&pool, other, account).await, None);
    assert_eq!(
        leases::get(store.for_all_tenants(), account).await.unwrap().map(|lease| lease.epoch),
        Some(1),
        "a refused claim leaves no trace"
    );
    silent(&pool, owner, STALE.as_secs_f64() + 1.0).await;
    assert_eq!(claim(&pool, other, account).await, Some(2));
}

/// R02: while Redis is young, no heartbeat is stale enough. Only accounts that were given back may be claimed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_silent_owner_is_left_alone_where_heartbeats_do_not_count(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let (owner, other) = (worker(&pool).await, worker(&pool).await);
    assert_eq!(claim(&pool, owner, account).await, Some(1));
    silent(&pool, owner, 10_000.0).await;
    let claimed = leases::claim(store.for_all_tenants(), other, &[account], true).await.unwrap();
    assert_eq!(claimed, []);
    leases::release(store.for_all_tenants(), owner, &[account]).await.unwrap();
    let claimed = leases::claim(store.for_all_tenants(), other, &[account], true).await.unwrap();
    assert_eq!(claimed.iter().map(|claim| claim.claimed).collect::<Vec<_>>(), [Claimed { account, epoch: 2 }]);
}

/// R61: an account that was given back, by a release or an ordered stop, may be claimed at once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_was_given_back_is_claimed_at_once(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let (owner, other, third) = (worker(&pool).await, worker(&pool).await, worker(&pool).await);
    assert_eq!(claim(&pool, owner, account).await, Some(1));
    leases::release(store.for_all_tenants(), other, &[account]).await.unwrap();
    assert_eq!(claim(&pool, other, account).await, None, "another's release gives nothing back");
    leases::release(store.for_all_tenants(), owner, &[account]).await.unwrap();
    assert_eq!(claim(&pool, other, account).await, Some(2));
    workers::stopped(&pool, other).await.unwrap();
    assert_eq!(claim(&pool, third, account).await, Some(3));
    assert!(
        matches!(workers::heartbeat(&pool, other, 0).await, Err(Error::NotFound)),
        "a boot that is over stays over"
    );
}

/// R02: a release under an old epoch does not affect a newer claim of the same worker.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_late_release_leaves_a_newer_claim(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let owner = worker(&pool).await;
    let old = Claimed { account, epoch: claim(&pool, owner, account).await.unwrap() };
    let new = Claimed { account, epoch: claim(&pool, owner, account).await.unwrap() };
    leases::release_claims(store.for_all_tenants(), owner, &[old]).await.unwrap();
    assert_eq!(leases::owned_by(store.for_all_tenants(), owner).await.unwrap(), [new]);
    leases::release_claims(store.for_all_tenants(), owner, &[new]).await.unwrap();
    assert_eq!(leases::owned_by(store.for_all_tenants(), owner).await.unwrap(), []);
}

/// R02: if eight workers claim at once, exactly one gets each account, in whatever order they name them.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn exactly_one_of_eight_claims(pool: PgPool) {
    let store = Store::from(pool.clone());
    let accounts = accounts(&pool, 20).await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let (store, worker, mut wanted) = (store.clone(), worker(&pool).await, accounts.clone());
        wanted.rotate_left(n * 2);
        tasks.push(tokio::spawn(async move {
            leases::claim(store.for_all_tenants(), worker, &wanted, false).await.unwrap()
        }));
    }
    let mut claimed: Vec<Claimed> = Vec::new();
    for task in tasks {
        claimed.extend(task.await.unwrap().iter().map(|claim| claim.claimed));
    }
    assert!(claimed.iter().all(|claimed| claimed.epoch == 1), "{claimed:?}");
    let mut won: Vec<AccountId> = claimed.iter().map(|claimed| claimed.account).collect();
    won.sort();
    assert_eq!(won, accounts, "each once");
}

/// R02: a claim waits for a fenced write that is under way, and the next write is fenced. With a plain check, that
/// write would land.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_claim_waits_for_a_fenced_write_and_the_next_write_is_fenced(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let (owner, other) = (worker(&pool).await, worker(&pool).await);
    let old = Fence { account, epoch: claim(&pool, owner, account).await.unwrap() };
    silent(&pool, owner, 60.0).await;
    let mut write = pool.begin().await.unwrap();
    let check = "SELECT count(*) FROM (SELECT 1 FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE) f";
    let held =
        sqlx::query_scalar::<_, i64>(check).bind(account.0).bind(old.epoch).fetch_one(&mut *write).await.unwrap();
    assert_eq!(held, 1);
    let claiming = tokio::spawn({
        let pool = pool.clone();
        async move { claim(&pool, other, account).await }
    });
    waiting(&pool, 1).await;
    assert!(!claiming.is_finished());
    write.commit().await.unwrap();
    let new = Fence { account, epoch: claiming.await.unwrap().unwrap() };
    assert!(matches!(session::hold(store.under(old), 60.0).await, Err(Error::Fenced)));
    let held = "SELECT count(*) FROM accounts WHERE held_until IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(held).fetch_one(&pool).await.unwrap(), 0, "it wrote nothing");
    session::hold(store.under(new), 60.0).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(held).fetch_one(&pool).await.unwrap(), 1);
}

/// An account that is not wanted online is not claimed. An account that is wanted erased is claimed for its logout
/// (R14).
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nothing_unwanted_is_claimed(pool: PgPool) {
    let store = Store::from(pool.clone());
    let account = accounts(&pool, 1).await[0];
    let owner = worker(&pool).await;
    sqlx::query("UPDATE accounts SET wanted = 'offline'").execute(&pool).await.unwrap();
    assert_eq!(claim(&pool, owner, account).await, None);
    assert_eq!(leases::unowned(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(), []);
    sqlx::query("UPDATE accounts SET wanted = 'erased'").execute(&pool).await.unwrap();
    assert_eq!(leases::unowned(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(), [account]);
    assert_eq!(claim(&pool, owner, account).await, Some(1));
    assert_eq!(leases::unowned(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(), []);
}
