//! Many sessions of one worker: claims, stops, the end of trust.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bells::doorbell::Handler as _;
use domain::account::Method;
use domain::id::{TenantId, WorkerId};
use domain::job::{Answer, Bell, Job};
use kit::until;
use process::clock::BootTime;
use process::ops::Pulse;
use sqlx::PgPool;
use store::accounts;
use store::audit::Operator;
use store::workers::Boot;
use tokio_util::sync::CancellationToken;
use worker::fleet::keeper;
use worker::fleet::stop::Stopped;
use worker::fleet::supervisor::{Knock, Rows, Supervisor};
use worker::jobs::Jobs;

use crate::fake::Call;
use crate::house::{DEADLINE, House, sent};

/// Two hundred sessions under one supervisor, each with an unanswered message.
async fn busy(house: &House) -> Supervisor {
    for number in 0..200 {
        let account = house.account(15_550_000 + number).await;
        house.message(account, 15_559_999).await;
    }
    let supervisor = Supervisor::new(Arc::clone(&house.context), 1_000);
    assert_eq!(supervisor.sweep().await, 200);
    for nth in 0..200 {
        let link = house.online(nth).await;
        sent(&link, 1).await;
    }
    supervisor
}

async fn owned(house: &House) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM leases WHERE owner IS NOT NULL").fetch_one(&house.pool).await.unwrap()
}

/// R61: a worker's sessions finish in parallel: two hundred that wait three seconds each are done in a few seconds.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn many_sessions_stop_side_by_side(pool: PgPool) {
    let house = House::new(pool).await;
    let supervisor = busy(&house).await;
    let start = Instant::now();
    assert_eq!(supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await, Stopped::InOrder);
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    assert_eq!(owned(&house).await, 0);
    assert!(house.switch.links.links().iter().all(|link| link.is_over()));
}

/// R61: an order to stop at once, or the end of the stop's time, cuts every link and gives every account back.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_that_is_cut_short_gives_everything_back(pool: PgPool) {
    let house = House::new(pool).await;
    let supervisor = busy(&house).await;
    let at_once = CancellationToken::new();
    at_once.cancel();
    assert_eq!(supervisor.stop(DEADLINE, 0, &at_once).await, Stopped::CutOff);
    store::workers::stopped(&house.pool, house.context.worker).await.unwrap();
    assert_eq!(owned(&house).await, 0);
    assert!(house.switch.links.links().iter().all(|link| link.is_over()));
}

/// R02: a process that was frozen for longer than its trust ends its sessions before it renews, although both stores
/// would confirm them, because a claim that began before its heartbeat may be under way. Then it claims again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_right_that_has_lapsed_is_not_resumed(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_secs(3), pool).await;
    let account = house.account(15_550_001).await;
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    assert_eq!(supervisor.knock(account, Rows::Outbox).await, Knock::Claimed);
    let link = house.online(0).await;
    until("the end of trust", async || (!house.context.trust.holds(BootTime::now())).then_some(())).await;
    assert!(!link.is_over(), "nobody has noticed yet: the keeper does not run");

    let stop = CancellationToken::new();
    let keeper = keeper::keep(Arc::clone(&house.context), supervisor.clone(), Pulse::default(), stop.clone());
    let keeper = tokio::spawn(keeper);
    until("the end of the session", async || link.is_over().then_some(())).await;
    until("a new claim", async || (supervisor.sweep().await == 1).then_some(())).await;
    house.online(1).await;
    assert_eq!(supervisor.claims(), [(account, 3)], "under a new epoch");
    supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await;
    stop.cancel();
    keeper.await.unwrap();
}

/// R61: accounts that a leaving worker has freed are claimed at the first request. Accounts that are missing in the
/// latest count of the fleet are claimed within about a second. Neither waits for the next look at the fleet or the
/// next count.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_knock_is_not_refused_for_an_old_view_of_the_fleet(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_mins(10), pool.clone()).await; // counts every 200 s
    let peer = WorkerId::new();
    let boot = Boot {
        name: "peer",
        holds_name: false,
        version: "0",
        release: "1",
        capacity: 1_000,
        lease: Duration::from_mins(10),
    };
    store::workers::register(&pool, peer, boot).await.unwrap();
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    let (first, second) = (house.account(15_550_001).await, house.account(15_550_002).await);
    assert_eq!(supervisor.knock(first, Rows::Outbox).await, Knock::Claimed);
    assert_eq!(supervisor.knock(second, Rows::Outbox).await, Knock::NotMine, "the peer's share");

    let (third, _) = (house.account(15_550_003).await, house.account(15_550_004).await);
    let knock = async |account| supervisor.knock(account, Rows::Outbox).await == Knock::Claimed;
    until("a new count", async || knock(third).await.then_some(())).await;
    assert!(!knock(second).await, "the peer's share");
    store::workers::leaving(&pool, peer).await.unwrap();
    assert!(knock(second).await, "there is no peer any more");
    supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await;
}

/// R61: a bell of a pairing that came late hurries nobody: who waits for an account stands in its row. Here all workers
/// of the new release are full, and this one is old. So it takes at once only what a person waits for.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_late_bell_of_a_pairing_hurries_nobody(pool: PgPool) {
    let house = House::with_leases_of(Duration::from_mins(10), pool.clone()).await;
    let boot = Boot {
        name: "new",
        holds_name: false,
        version: "0",
        release: "2",
        capacity: 0,
        lease: Duration::from_mins(10),
    };
    store::workers::register(&pool, WorkerId::new(), boot).await.unwrap();
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    let jobs = Jobs::new(Arc::clone(&house.context), supervisor.clone());
    let account = house.account(15_550_001).await;
    let asked = async || jobs.answer(Job::new(Bell::Pair { account }, None)).await;

    assert_eq!(asked().await, Answer::NotMine, "it is linked: nobody waits");
    let tenant = "SELECT tenant_id FROM accounts WHERE id = $1";
    let tenant: TenantId = sqlx::query_scalar(tenant).bind(account).fetch_one(&pool).await.unwrap();
    let (of, by) = (house.context.store.of(tenant), Operator::System("test"));
    accounts::pair(of, account, (Method::Qr, None), by).await.unwrap().quietly();
    assert_eq!(asked().await, Answer::Done);
    assert_eq!(supervisor.claims().len(), 1);
    supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await;

    accounts::unpair(of, account, by).await.unwrap().quietly();
    assert_eq!(supervisor.knock(account, Rows::Outbox).await, Knock::Nothing, "nothing is passed on");
}

/// R35: a request to sync the groups reaches the session by its bell: the session reads its row, and asks WhatsApp again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_bell_for_groups_is_answered(pool: PgPool) {
    let house = House::new(pool.clone()).await;
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    let jobs = Jobs::new(Arc::clone(&house.context), supervisor.clone());
    let account = house.account(15_550_001).await;
    assert_eq!(supervisor.sweep().await, 1);
    let link = house.online(0).await;
    let asked = || link.calls().iter().filter(|call| **call == Call::Groups).count();
    until("the groups", async || (asked() == 1).then_some(())).await;
    let synced = "SELECT count(*) FROM accounts WHERE groups_synced_at IS NOT NULL AND status = 'connected'";
    until("they are written", async || {
        (sqlx::query_scalar::<_, i64>(synced).fetch_one(&pool).await.unwrap() == 1).then_some(())
    })
    .await;

    let tenant = "SELECT tenant_id FROM accounts WHERE id = $1";
    let tenant: TenantId = sqlx::query_scalar(tenant).bind(account).fetch_one(&pool).await.unwrap();
    let ((), after) = store::groups::want_sync(house.context.store.of(tenant), account).await.unwrap().parts();
    for (bell, _) in after.bells {
        assert_eq!(jobs.answer(Job::new(bell, None)).await, Answer::Done);
    }
    until("the groups again", async || (asked() == 2).then_some(())).await;
    supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await;
}

/// R61: a stop gives sessions back only as fast as others may connect. A session whose turn has not come stays online,
/// and its bells are heard.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_stop_gives_back_what_others_can_take(pool: PgPool) {
    let house = House::new(pool).await;
    for number in 0..3 {
        house.account(15_550_000 + number).await;
    }
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    assert_eq!(supervisor.sweep().await, 3);
    for nth in 0..3 {
        house.online(nth).await;
    }
    let over = || house.switch.links.links().iter().filter(|link| link.is_over()).count();
    let stopping = supervisor.clone();
    let stop = tokio::spawn(async move { stopping.stop(DEADLINE, 2, &CancellationToken::new()).await });
    until("the first slice", async || (owned(&house).await == 1).then_some(())).await;
    assert_eq!(over(), 2);
    let (left, _) = supervisor.claims()[0];
    assert_eq!(supervisor.knock(left, Rows::Outbox).await, Knock::Heard);
    assert_eq!(stop.await.unwrap(), Stopped::InOrder);
    assert_eq!((over(), owned(&house).await), (3, 0));
}

/// R17: a new owner waits for the end of a ban as the old one did.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_ban_outlives_its_owner(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let banned = "UPDATE accounts SET status = 'banned', banned_until = now() + interval '2 seconds' WHERE id = $1";
    sqlx::query(banned).bind(account.0).execute(&house.pool).await.unwrap();
    let start = Instant::now();
    let supervisor = Supervisor::new(Arc::clone(&house.context), 10);
    assert_eq!(supervisor.sweep().await, 1);
    house.online(0).await;
    assert!(start.elapsed() > Duration::from_millis(1_800), "a login during the ban");
    supervisor.stop(DEADLINE, 0, &CancellationToken::new()).await;
}
