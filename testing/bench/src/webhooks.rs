//! How fast events reach webhooks, and what one delivery costs. Each shape of load runs with the `switchboard-worker`
//! (built with the feature `simulator`) of every folder in `BINARIES`, which take turns within a run, so that two
//! releases can be compared. The worker has no accounts. Receivers in this process answer 200 at once. `ROUNDS` and
//! `EVENTS` set the amount, and `SHAPES` picks some by a part of their name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bells::bus::Bus;
use domain::id::{AccountId, TenantId};
use kit::{Process, Program, Settings};
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{PgPool, Postgres};
use store::{MIGRATOR, Store};

use crate::receivers::Receivers;
use crate::stack::{busy, busy_postgres, start};
use crate::{median, number, variable};

const PATIENCE: Duration = Duration::from_secs(300);
/// How often events are written at a steady rate.
const TICK: Duration = Duration::from_millis(10);
/// How long events are written at a steady rate.
const STEADY: Duration = Duration::from_secs(10);
/// How long an event of one moment may take to be written, before it is announced.
const SETTLE: Duration = Duration::from_millis(1_500);

/// One shape of load.
struct Shape {
    name: &'static str,
    /// Each has one webhook.
    tenants: usize,
    /// The accounts of each tenant.
    accounts: usize,
    /// Events per second; `None` if all are written before the webhooks hear of them.
    rate: Option<usize>,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "50 webhooks, all at once", tenants: 50, accounts: 4, rate: None },
    Shape { name: "one webhook of 50 accounts, all at once", tenants: 1, accounts: 50, rate: None },
    Shape { name: "50 webhooks, 500 a second", tenants: 50, accounts: 4, rate: Some(500) },
    Shape { name: "50 webhooks, 3,000 a second", tenants: 50, accounts: 4, rate: Some(3_000) },
    Shape { name: "one webhook of 50 accounts, 500 a second", tenants: 1, accounts: 50, rate: Some(500) },
];

/// The figures of one round.
struct Figures {
    per_s: f64,
    /// From the writing of an event to its arrival, in seconds.
    lag: [f64; 2],
    /// Processor time per delivery, in microseconds.
    worker: f64,
    postgres: f64,
    transactions: f64,
    /// `None` if `pg_stat_statements` is not loaded.
    statements: Option<f64>,
}

/// Measures all shapes.
pub(crate) async fn measure() {
    let (rounds, events) = (number("ROUNDS", 3), number("EVENTS", 10_000));
    let folders: Vec<PathBuf> = variable("BINARIES").split(',').map(PathBuf::from).collect();
    let wanted = std::env::var("SHAPES").unwrap_or_default();
    println!(
        "| load | binaries | deliveries/s | ratio | lag p50 | p99 | processor time per delivery: worker | Postgres | transactions per delivery | statements |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&wanted)) {
        let mut figures: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
        for round in 0..rounds {
            for place in 0..folders.len() {
                let of = (place + round) % folders.len();
                let name = format!("switchboard_bench_webhooks_{}_{round}_{of}", std::process::id());
                let found = one_round(&name, &folders[of].join("switchboard-worker"), shape, events).await;
                eprintln!("{} {}: {:.0}/s, p99 {:.3} s", shape.name, folders[of].display(), found.per_s, found.lag[1]);
                figures.entry(of).or_default().push(found);
            }
        }
        let of = |place: usize, figure: fn(&Figures) -> f64| median(figures[&place].iter().map(figure));
        for (place, folder) in folders.iter().enumerate() {
            let ratio = median(figures[&place].iter().zip(&figures[&0]).map(|(own, first)| own.per_s / first.per_s));
            let is_counted = figures[&place].iter().all(|figures| figures.statements.is_some());
            let statements = of(place, |figures| figures.statements.unwrap_or_default());
            println!(
                "| {} | {} | {:.0} | {ratio:.2} | {:.0} ms | {:.0} ms | {:.0} µs | {:.0} µs | {:.2} | {} |",
                shape.name,
                folder.file_name().unwrap_or_default().display(),
                of(place, |figures| figures.per_s),
                of(place, |figures| figures.lag[0] * 1e3),
                of(place, |figures| figures.lag[1] * 1e3),
                of(place, |figures| figures.worker),
                of(place, |figures| figures.postgres),
                of(place, |figures| figures.transactions),
                if is_counted { format!("{statements:.2}") } else { "not counted".to_owned() },
            );
        }
    }
}

async fn one_round(name: &str, worker: &Path, shape: &Shape, events: usize) -> Figures {
    let url = format!("{}/{name}", variable("DATABASE_URL").rsplit_once('/').unwrap().0);
    Postgres::create_database(&url).await.unwrap();
    let db = PgPool::connect(&url).await.unwrap();
    MIGRATOR.run(&db).await.unwrap();
    let prefix = format!("bench-{name}:");
    let settings = Settings::simulated().with(&[
        ("DATABASE_URL", &url),
        ("REDIS_PREFIX", &prefix),
        ("RUST_LOG", "warn"),
        ("WEBHOOK_ALLOW_HTTP", "true"),
        ("WEBHOOK_ALLOW_PRIVATE", "127.0.0.0/8"),
        ("WHATSAPP_URL", "ws://127.0.0.1:9/"), // there are no accounts
    ]);
    let receivers = Receivers::start(shape.tenants);
    let mut tenants = Vec::new();
    let store = Store::from(db.clone());
    for url in receivers.urls() {
        let tenant = kit::rows::tenant(&db).await;
        let by = store::audit::Operator::System("bench");
        store::webhooks::create(store.of(tenant), url, &[], by).await.unwrap();
        tenants.push((tenant, (0..shape.accounts).map(|_| AccountId::new()).collect::<Vec<_>>()));
    }
    let worker = start(Program::Worker, worker, &settings).await;
    let bus = Bus::connect(&variable("REDIS_URL"), &prefix).unwrap();
    let begun = Instant::now();
    let free = "SELECT count(*) FROM webhooks WHERE owner IS NULL";
    while sqlx::query_scalar::<_, i64>(free).fetch_one(&db).await.unwrap() > 0 {
        assert!(begun.elapsed() < PATIENCE, "not all webhooks were claimed");
        tokio::time::sleep(TICK).await;
    }
    let load = Load { db: &db, bus: &bus, tenants: &tenants };
    load.write(0, shape.tenants * shape.accounts, true).await; // each connection, statement and page once
    receivers.all(shape.tenants * shape.accounts, PATIENCE).await;
    receivers.forget();
    tokio::time::sleep(SETTLE).await;
    let figures = load.measure(shape, events, &receivers, &worker).await;
    drop(worker);
    db.close().await;
    Postgres::force_drop_database(&url).await.unwrap();
    figures
}

/// Where events are written, and who hears of it.
struct Load<'a> {
    db: &'a PgPool,
    bus: &'a Bus,
    tenants: &'a [(TenantId, Vec<AccountId>)],
}

impl Load<'_> {
    async fn measure(&self, shape: &Shape, events: usize, receivers: &Receivers, worker: &Process) -> Figures {
        let events = shape.rate.map_or(events, |rate| rate * STEADY.as_secs() as usize);
        let pid = worker.pid().unwrap();
        if shape.rate.is_none() {
            self.write(0, events, false).await;
            tokio::time::sleep(SETTLE).await;
        }
        let before = (busy(pid), busy_postgres(), self.transactions().await, self.statements().await);
        let begun = Instant::now();
        match shape.rate {
            None => self.tenants.iter().for_each(|(tenant, _)| self.bus.signal(*tenant)),
            Some(rate) => self.trickle(rate, events, begun).await,
        }
        receivers.all(events, PATIENCE).await;
        let wall = begun.elapsed();
        tokio::time::sleep(SETTLE).await; // for results on their way, and for Postgres's counters
        assert_eq!(receivers.count(), events, "each event is delivered once");
        let waiting = "SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'";
        assert_eq!(
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(self.db).await.unwrap(),
            0,
            "all results are written"
        );
        let per_delivery = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e6 / events as f64;
        let now = (busy(pid), busy_postgres(), self.transactions().await, self.statements().await);
        Figures {
            per_s: events as f64 / wall.as_secs_f64(),
            lag: receivers.lags(begun, shape.rate.is_none()),
            worker: per_delivery(now.0, before.0),
            postgres: per_delivery(now.1, before.1),
            transactions: (now.2 - before.2) as f64 / events as f64,
            statements: now.3.zip(before.3).map(|(now, before)| (now - before) as f64 / events as f64),
        }
    }

    /// Writes so many events a second, and tells it each time.
    async fn trickle(&self, rate: usize, events: usize, begun: Instant) {
        let mut written = 0;
        while written < events {
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as usize;
            if due.min(events) > written {
                self.write(written, due.min(events) - written, true).await;
                written = due.min(events);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Writes events in one statement: in turn for each tenant, and within it for each account.
    async fn write(&self, from: usize, count: usize, is_told: bool) {
        let (mut tenants, mut accounts) = (Vec::new(), Vec::new());
        for n in from..from + count {
            let (tenant, own) = &self.tenants[n % self.tenants.len()];
            tenants.push(tenant.0);
            accounts.push(own[n / self.tenants.len() % own.len()].0);
        }
        let at_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        sqlx::query(
            "SELECT write_events(array_agg(ROW(t.tenant, t.account, 'message.received', jsonb_build_object(
                 'account_id', t.account, 'message_id', gen_random_uuid(), 'whatsapp_id', gen_random_uuid(), 'at_us', $3::bigint,
                 'chat', '491700000000@s.whatsapp.net', 'from', '491700000000@s.whatsapp.net', 'push_name', 'Ada',
                 'text', 'a message of a usual length, as people write them to each other all day'), NULL)::new_event ORDER BY t.n))
             FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS t (tenant, account, n)",
        )
        .bind(&tenants)
        .bind(&accounts)
        .bind(i64::try_from(at_us).unwrap())
        .execute(self.db)
        .await
        .unwrap();
        if is_told {
            let mut told = tenants;
            told.sort_unstable();
            told.dedup();
            told.into_iter().for_each(|tenant| self.bus.signal(tenant.into()));
        }
    }

    async fn transactions(&self) -> i64 {
        let count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar(count).fetch_one(self.db).await.unwrap()
    }

    /// How many statements this database has carried out.
    async fn statements(&self) -> Option<i64> {
        let count = "SELECT sum(s.calls)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                     WHERE d.datname = current_database()";
        let count = sqlx::query_scalar(count).fetch_one(self.db).await.ok()?;
        if let Some(path) = std::env::var_os("STATEMENTS") {
            let most = "SELECT format(E'%s calls, %s us each, %s rows: %s', calls, (mean_exec_time * 1000)::int, rows,
                            left(regexp_replace(query, '\\s+', ' ', 'g'), 160))
                        FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
                        ORDER BY total_exec_time DESC LIMIT 14";
            let most: Vec<String> = sqlx::query_scalar(most).fetch_all(self.db).await.unwrap();
            std::fs::write(path, most.join("\n")).unwrap();
        }
        count
    }
}
