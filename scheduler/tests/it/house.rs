//! What the scheduler's tests start from: rows, and a context on a prefix of its own.

use domain::id::{AccountId, ReminderId, TenantId};
use kit::{redis_prefix, redis_url, rows};
use process::config::{Database, Redis, Telemetry, Zones};
use scheduler::{Config, Context, Ops};
use sqlx::PgPool;

/// A configuration whose Redis is the one of `REDIS_URL`, with a prefix of the test's own.
pub(crate) fn config(database_url: &str) -> Config {
    Config {
        database: Database { url: database_url.to_owned(), max_connections: 8 },
        redis: Redis { url: redis_url(), prefix: redis_prefix() },
        telemetry: Telemetry::default(),
        zones: Zones::default(),
        ops: Ops { listen: ([127, 0, 0, 1], 0).into() },
        ring_again_s: 1,
        events_kept_days: 7,
        runs_kept_days: 90,
        messages_kept_days: 90,
        audit_kept_days: 365,
    }
}

/// The URL of the database that a test was given.
pub(crate) async fn url_of(db: &PgPool) -> String {
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(db).await.unwrap();
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a Postgres for tests");
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(crate) async fn context(db: &PgPool) -> Context {
    let config = config(&url_of(db).await);
    let pool = store::connect(&config.database.url, config.database.max_connections).await.unwrap();
    Context::new(&config, pool.into(), process::ops::Pulse::default()).unwrap()
}

/// A connected account of a new tenant.
pub(crate) async fn account(db: &PgPool) -> (TenantId, AccountId) {
    rows::Account::of("connected").of_new_tenant(db).await
}

/// A one-off reminder that is due in so many milliseconds, with one text and one target; schedulers are woken, as by the api.
pub(crate) async fn reminder(db: &PgPool, (_, account): (TenantId, AccountId), in_ms: i32) -> ReminderId {
    let (due_s, targets) = (f64::from(in_ms) / 1_000.0, vec!["1203630000@g.us".to_owned()]);
    let reminder = rows::Reminder { rrule: None, due_s, whole: false, window_end: None, texts: &["hello"], targets };
    let reminder = reminder.insert(db, account).await;
    sqlx::query("SELECT pg_notify('switchboard_due', '')").execute(db).await.unwrap();
    reminder
}
