//! Leases in Redis: who gets a key, who keeps it, and who gets it back.

use std::time::Duration;

use bells::lease::{Leases, Renewal, Won};
use domain::id::{AccountId, WorkerId};
use kit::{RedisServer, redis_prefix, redis_url};

/// Longer than any test, so that nothing runs out by itself; where it shall, the test says its own.
const TTL: Duration = Duration::from_secs(60);

/// Some workers' leases on one Redis, under a prefix of the test's own.
struct Workers {
    url: String,
    prefix: String,
}

impl Workers {
    fn new() -> Self {
        Self::on(redis_url())
    }

    fn on(url: String) -> Self {
        Self { url, prefix: redis_prefix() }
    }

    fn worker(&self) -> (WorkerId, Leases) {
        self.worker_with(TTL)
    }

    fn worker_with(&self, ttl: Duration) -> (WorkerId, Leases) {
        let worker = WorkerId::new();
        (worker, Leases::connect(&self.url, &self.prefix, worker, ttl).unwrap())
    }

    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    async fn key(&self, account: AccountId) -> Option<String> {
        let key = format!("{}lease:{account}", self.prefix);
        redis::cmd("GET").arg(key).query_async(&mut self.redis().await).await.unwrap()
    }

    /// The key runs out.
    async fn expire(&self, account: AccountId) {
        let key = format!("{}lease:{account}", self.prefix);
        let _: i64 = redis::cmd("DEL").arg(key).query_async(&mut self.redis().await).await.unwrap();
    }
}

async fn take(leases: &Leases, account: AccountId, epoch: i64) {
    assert_eq!(leases.acquire(&[account]).await.unwrap().accounts, [account]);
    assert!(leases.confirm(account, epoch).await.unwrap());
}

/// R02: of many that want a key at once exactly one gets it.
#[tokio::test]
async fn exactly_one_of_eight_wins() {
    let workers = Workers::new();
    for _ in 0..20 {
        let account = AccountId::new();
        let claims = (0..8).map(|_| {
            let (_, leases) = workers.worker();
            tokio::spawn(async move { leases.acquire(&[account]).await.unwrap().accounts.len() })
        });
        let won: Vec<usize> = futures::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().sum::<usize>(), 1, "{won:?}");
    }
}

/// R111: a worker wins what its dead earlier boots hold, confirmed or not, and nothing of others.
#[tokio::test]
async fn the_leases_of_dead_boots_are_won() {
    let workers = Workers::new();
    let (mine, half, others) = (AccountId::new(), AccountId::new(), AccountId::new());
    let ((dead, before), (_, other)) = (workers.worker(), workers.worker());
    take(&before, mine, 3).await;
    before.acquire(&[half]).await.unwrap();
    take(&other, others, 7).await;
    let (id, next) = workers.worker();
    let wanted = [mine, half, others];
    assert!(next.acquire(&wanted).await.unwrap().accounts.is_empty(), "it is not known that the other boot is dead");
    let next = next.after(vec![WorkerId::new(), dead]);
    assert_eq!(next.acquire(&wanted).await.unwrap().accounts, [mine, half]);
    assert_eq!(workers.key(mine).await, Some(format!("{id}:0")));
}

/// R02: a worker that a step further went no further may begin again; another may not.
#[tokio::test]
async fn a_key_that_was_won_and_not_confirmed_is_won_again_by_its_worker_only() {
    let (workers, account) = (Workers::new(), AccountId::new());
    let ((id, ours), (_, other)) = (workers.worker(), workers.worker());
    assert_eq!(ours.acquire(&[account]).await.unwrap().accounts, [account]);
    assert!(other.acquire(&[account]).await.unwrap().accounts.is_empty());
    assert_eq!(ours.acquire(&[account]).await.unwrap().accounts, [account]);
    assert_eq!(workers.key(account).await, Some(format!("{id}:0")));
}

/// R02: compare and delete: nobody gives back what is another's.
#[tokio::test]
async fn a_release_never_deletes_anothers_key() {
    let (workers, account, free) = (Workers::new(), AccountId::new(), AccountId::new());
    let ((id, ours), (_, other)) = (workers.worker(), workers.worker());
    take(&ours, account, 7).await;
    assert_eq!(other.release(&[account, free]).await.unwrap(), 0);
    assert_eq!(workers.key(account).await, Some(format!("{id}:7")));
    assert_eq!(ours.release(&[account, free]).await.unwrap(), 1);
    assert_eq!(workers.key(account).await, None);
    take(&other, account, 8).await;
    assert_eq!(ours.release(&[account]).await.unwrap(), 0, "a late release of the owner before");
    assert!(workers.key(account).await.is_some());
}

/// R02: the lease of a session that has ended is given back under its own epoch; one that was claimed anew stays.
#[tokio::test]
async fn a_term_is_given_back_alone() {
    let workers = Workers::new();
    let (worker, leases) = workers.worker();
    let (ended, anew) = (AccountId::new(), AccountId::new());
    take(&leases, ended, 3).await;
    take(&leases, anew, 8).await;
    assert_eq!(leases.release_claims(&[(ended, 3), (anew, 7)]).await.unwrap(), 1);
    assert_eq!(workers.key(ended).await, None);
    assert_eq!(workers.key(anew).await, Some(format!("{worker}:8")));
}

/// R02: a worker that holds nothing is not confirmed by a Redis that does not answer.
#[tokio::test]
async fn nothing_to_renew_is_no_confirmation() {
    let server = RedisServer::start();
    let (_, leases) = Workers::on(server.url()).worker();
    assert!(leases.renew(&[], true).await.unwrap().is_empty());
    drop(server);
    leases.renew(&[], true).await.unwrap_err();
}

/// R02: a claimant that was frozen between the epoch and the key does not get the key of whoever came meanwhile.
#[tokio::test]
async fn a_late_confirm_is_refused() {
    let (workers, account) = (Workers::new(), AccountId::new());
    let ((_, late), (id, next)) = (workers.worker(), workers.worker());
    assert_eq!(late.acquire(&[account]).await.unwrap().accounts, [account]);
    workers.expire(account).await;
    assert!(!late.confirm(account, 1).await.unwrap(), "nobody's is not its own");
    assert_eq!(workers.key(account).await, None);
    take(&next, account, 2).await;
    assert!(!late.confirm(account, 1).await.unwrap());
    assert_eq!(workers.key(account).await, Some(format!("{id}:2")));
}

/// R02: a key that is missing comes back by a renewal only where Postgres names this worker; another's never does.
#[tokio::test]
async fn a_missing_key_is_restored_only_when_postgres_names_us() {
    let (workers, account) = (Workers::new(), AccountId::new());
    let ((id, ours), (other_id, other)) = (workers.worker(), workers.worker());
    take(&ours, account, 3).await;
    workers.expire(account).await;
    assert_eq!(ours.renew(&[(account, 3)], false).await.unwrap(), [(account, Renewal::Missing)]);
    assert_eq!(workers.key(account).await, None);
    assert_eq!(ours.renew(&[(account, 3)], true).await.unwrap(), [(account, Renewal::Held)]);
    assert_eq!(workers.key(account).await, Some(format!("{id}:3")));
    workers.expire(account).await;
    take(&other, account, 4).await;
    for restore in [false, true] {
        assert_eq!(ours.renew(&[(account, 3)], restore).await.unwrap(), [(account, Renewal::Taken)]);
    }
    assert_eq!(workers.key(account).await, Some(format!("{other_id}:4")));
}

/// River: an elector whose term was replaced loses, though the name is the same: the epoch is part of what is renewed.
#[tokio::test]
async fn a_term_that_was_replaced_is_lost() {
    let (workers, account) = (Workers::new(), AccountId::new());
    let (id, ours) = workers.worker();
    take(&ours, account, 1).await;
    take(&ours, account, 2).await;
    assert_eq!(ours.renew(&[(account, 1)], true).await.unwrap(), [(account, Renewal::Taken)]);
    assert_eq!(workers.key(account).await, Some(format!("{id}:2")));
}

/// R02: what is renewed outlives its first life, and what is not renewed is free then.
#[tokio::test]
async fn a_lease_lives_as_long_as_it_is_renewed() {
    let (workers, kept, left) = (Workers::new(), AccountId::new(), AccountId::new());
    let ttl = Duration::from_secs(1);
    let ((_, ours), (_, other)) = (workers.worker_with(ttl), workers.worker_with(ttl));
    take(&ours, kept, 1).await;
    take(&ours, left, 1).await;
    let start = std::time::Instant::now();
    while workers.key(left).await.is_some() {
        assert!(start.elapsed() < ttl * 5, "it never ran out");
        assert_eq!(ours.renew(&[(kept, 1)], false).await.unwrap(), [(kept, Renewal::Held)]);
        tokio::time::sleep(ttl / 20).await;
    }
    assert!(start.elapsed() >= ttl * 9 / 10, "not before its time");
    assert_eq!(other.acquire(&[kept, left]).await.unwrap().accounts, [left]);
}

/// R02: a Redis that has just lost what it held says so to whoever wins a key there, for as long as a lease lives.
#[tokio::test]
async fn a_redis_that_was_emptied_or_restarted_is_young() {
    let mut server = RedisServer::start();
    let workers = Workers::on(server.url());
    let ttl = Duration::from_secs(1);
    let (_, leases) = workers.worker_with(ttl);
    let young = async || {
        let start = std::time::Instant::now();
        loop {
            // a connection that broke is made anew
            if let Ok(Won { young, accounts }) = leases.acquire(&[AccountId::new()]).await {
                assert_eq!(accounts.len(), 1, "young or not, a free key is won");
                return young;
            }
            assert!(start.elapsed() < Duration::from_secs(20));
        }
    };
    let grows_old = async || {
        let start = std::time::Instant::now();
        while young().await {
            assert!(start.elapsed() < ttl * 10, "young for ever");
            tokio::time::sleep(ttl / 20).await;
        }
        assert!(start.elapsed() > ttl / 2);
    };
    grows_old().await;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut workers.redis().await).await.unwrap();
    assert!(young().await, "emptied");
    grows_old().await;
    server.restart();
    assert!(young().await, "restarted");
    grows_old().await;
    let key = format!("{}leases_since", workers.prefix);
    let copy = redis::cmd("SET").arg(key).arg("anotherserver:1").query_async(&mut workers.redis().await).await;
    let () = copy.unwrap();
    assert!(young().await, "taken over from another server, with what it had told");
}

/// River: started and stopped over and over by several at once, a lease is at no instant held by two, and free at the end.
#[tokio::test]
async fn start_and_stop_over_and_over() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (workers, account) = (Workers::new(), AccountId::new());
    let (inside, times) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..8).map(|n| {
        let (_, leases) = workers.worker();
        let (inside, times) = (Arc::clone(&inside), Arc::clone(&times));
        tokio::spawn(async move {
            for round in 0..50 {
                if leases.acquire(&[account]).await.unwrap().accounts.is_empty() {
                    continue;
                }
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                assert!(leases.confirm(account, n * 100 + round + 1).await.unwrap());
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                times.fetch_add(1, Ordering::SeqCst);
                assert_eq!(leases.release(&[account]).await.unwrap(), 1);
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    assert!(times.load(Ordering::SeqCst) > 20);
    assert_eq!(workers.key(account).await, None);
}
