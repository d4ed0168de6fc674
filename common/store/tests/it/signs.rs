//! One rule says who is alive: claims, duties and answers use it (R89, R90).

use std::time::Duration;

use domain::account::Status;
use domain::id::{AccountId, TenantId, WorkerId};
use kit::rows;
use sqlx::PgPool;
use store::{MIGRATOR, Store, accounts, dashboard, leases, signs, workers};

async fn worker(db: &PgPool, lease: Duration) -> WorkerId {
    let worker = WorkerId::new();
    let boot = workers::Boot { name: "w", holds_name: false, version: "1", release: "1", capacity: 10, lease };
    workers::register(db, worker, boot).await.unwrap();
    worker
}

async fn silent(db: &PgPool, worker: WorkerId, seconds: f64) {
    sqlx::query("UPDATE workers SET last_seen = now() - make_interval(secs => $2) WHERE id = $1")
        .bind(worker)
        .bind(seconds)
        .execute(db)
        .await
        .unwrap();
}

/// An account that is stored as `connected` and has this owner.
async fn connected(db: &PgPool, owner: Option<WorkerId>) -> (TenantId, AccountId) {
    let linked = ("4917012345678", "4917012345678:3@s.whatsapp.net");
    let account =
        rows::Account { number: Some(linked.0), jid: Some(linked.1), owner, ..rows::Account::of("connected") };
    let (tenant, account) = account.of_new_tenant(db).await;
    sqlx::query("UPDATE accounts SET lid = '99:3@lid', push_name = 'Ada'").execute(db).await.unwrap();
    (tenant, account)
}

async fn told(db: &PgPool) -> Vec<serde_json::Value> {
    sqlx::query_scalar("SELECT data FROM events ORDER BY id").fetch_all(db).await.unwrap()
}

/// R89: each worker determines how long its heartbeat counts. A worker with a shorter lease claims nothing from a
/// worker whose longer lease is still valid, and the duties agree.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_worker_says_how_long_its_heartbeat_counts(db: PgPool) {
    let store = Store::from(db.clone());
    let (slow, quick) = (worker(&db, Duration::from_mins(2)).await, worker(&db, Duration::from_secs(3)).await);
    let (tenant, account) = connected(&db, Some(slow)).await;
    silent(&db, slow, 60.0).await;
    assert_eq!(leases::claim(store.for_all_tenants(), quick, &[account], false).await.unwrap(), []);
    assert_eq!(leases::unowned(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(), []);
    assert_eq!(accounts::tell_lost_sessions(store.for_all_tenants(), 10).await.unwrap().quietly(), []);
    assert_eq!(accounts::get(store.of(tenant), account).await.unwrap().status, Status::Connected);
    assert_eq!(workers::live(&db).await.unwrap().len(), 2);
    silent(&db, slow, 121.0).await;
    assert_eq!(workers::live(&db).await.unwrap().len(), 1);
    assert_eq!(leases::unowned(store.for_all_tenants(), Duration::ZERO, 10).await.unwrap(), [account]);
    assert_eq!(leases::claim(store.for_all_tenants(), quick, &[account], false).await.unwrap().len(), 1);
    silent(&db, quick, 4.0).await;
    assert_eq!(
        leases::claim(store.for_all_tenants(), slow, &[account], false).await.unwrap().len(),
        1,
        "its lease was short"
    );
}

/// R90: `connected` requires a live worker. This is so everywhere at once, and there is one event.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_dead_workers_account_is_not_connected(db: PgPool) {
    let store = Store::from(db.clone());
    let owner = worker(&db, Duration::from_secs(15)).await;
    let (tenant, account) = connected(&db, Some(owner)).await;
    assert_eq!(
        accounts::tell_lost_sessions(store.for_all_tenants(), 10).await.unwrap().quietly(),
        [],
        "its worker lives"
    );
    assert_eq!(signs::read(store.for_all_tenants()).await.unwrap().connected, 1);
    silent(&db, owner, 16.0).await;
    // there is no event yet, but every reader sees the change
    let shown = accounts::get(store.of(tenant), account).await.unwrap();
    assert_eq!(shown.status, Status::Disconnected);
    assert_eq!(shown.status_reason.as_deref(), Some("the worker that held its connection fell silent"));
    assert_eq!(accounts::list(store.of(tenant), Some(Status::Connected), None, 10).await.unwrap().len(), 0);
    assert_eq!(accounts::list(store.of(tenant), Some(Status::Disconnected), None, 10).await.unwrap().len(), 1);
    assert_eq!(dashboard::counts(store.of(tenant)).await.unwrap().accounts, [(Status::Disconnected, 1)]);
    let all = signs::read(store.for_all_tenants()).await.unwrap();
    assert_eq!((all.wanted, all.connected, all.workers), (1, 0, 0));
    assert!(all.worker_seen.is_some() && all.scheduler_seen.is_none());
    // then a scheduler writes the event, once
    assert_eq!(accounts::tell_lost_sessions(store.for_all_tenants(), 10).await.unwrap().quietly(), [tenant]);
    assert_eq!(accounts::tell_lost_sessions(store.for_all_tenants(), 10).await.unwrap().quietly(), []);
    let told = told(&db).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["status"], "disconnected");
    assert_eq!(told[0]["reason"], "the worker that held its connection fell silent");
    let row: (String, bool) =
        sqlx::query_as("SELECT status, disconnected_at IS NOT NULL FROM accounts").fetch_one(&db).await.unwrap();
    assert_eq!(row, ("disconnected".to_owned(), true));
}

/// R90: an account has no owner if its lease was given back, its owner stopped, or its owner's row is gone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn nobodys_account_is_not_connected(db: PgPool) {
    let store = Store::from(db.clone());
    let stopped = worker(&db, Duration::from_secs(15)).await;
    connected(&db, Some(stopped)).await;
    workers::stopped(&db, stopped).await.unwrap();
    connected(&db, None).await;
    connected(&db, Some(WorkerId::new())).await;
    let gone = "SELECT count(*) FROM leases WHERE owner IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(gone).fetch_one(&db).await.unwrap(), 1);
    assert_eq!(signs::read(store.for_all_tenants()).await.unwrap().connected, 0);
    assert_eq!(
        accounts::tell_lost_sessions(store.for_all_tenants(), 10).await.unwrap().quietly().len(),
        2,
        "an owner always has a row as long as it owns"
    );
}

/// R90: a scheduler is alive while its heartbeat is fresh, and ends at once when it stops.
#[sqlx::test(migrator = "MIGRATOR")]
async fn schedulers_say_that_they_live(db: PgPool) {
    let store = Store::from(db.clone());
    let (one, two) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    for id in [one, two, one] {
        signs::scheduler_lives(&db, id, "host", "1").await.unwrap();
    }
    assert_eq!(signs::read(store.for_all_tenants()).await.unwrap().schedulers, 2);
    signs::scheduler_stops(&db, one).await.unwrap();
    assert_eq!(signs::read(store.for_all_tenants()).await.unwrap().schedulers, 1);
    sqlx::query("UPDATE schedulers SET last_seen = now() - interval '16 seconds'").execute(&db).await.unwrap();
    let all = signs::read(store.for_all_tenants()).await.unwrap();
    assert_eq!(all.schedulers, 0);
    assert!(all.scheduler_seen.is_some(), "its last sign of life is known");
    assert_eq!(signs::prune_schedulers(&db, Duration::from_secs(10), 10).await.unwrap(), 2);
}

/// R89: `pg_stat_activity` shows the owner of each connection by the name of its program.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_connection_says_whose_it_is(db: PgPool) {
    use sqlx::ConnectOptions as _;
    let url = db.connect_options().to_url_lossy().to_string();
    let ours = store::connect(&url, 1).await.unwrap();
    let name = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let name: String = sqlx::query_scalar(name).fetch_one(&ours).await.unwrap();
    let program = std::env::current_exe().unwrap();
    assert_eq!(name, program.file_name().unwrap().to_string_lossy());
}
