//! What the scheduler's tests start from: rows, and a context on a prefix of its own.

use domain::id::{AccountId, ReminderId, TenantId};
use process::config::{Database, Redis, Telemetry, Zones};
use scheduler::{Config, Context, Ops};
use sqlx::PgPool;
use uuid::Uuid;

/// A configuration whose Redis is the one of `REDIS_URL`, with a prefix of the test's own.
pub(crate) fn config(database_url: &str) -> Config {
    Config {
        database: Database { url: database_url.to_owned(), max_connections: 8 },
        redis: Redis {
            url: std::env::var("REDIS_URL").expect("REDIS_URL names a Redis for tests"),
            prefix: format!("test:{}:", Uuid::new_v4()),
        },
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
    let (tenant, account) = (TenantId::new(), AccountId::new());
    sqlx::query("INSERT INTO tenants (id, name) VALUES ($1, 'Acme')").bind(tenant).execute(db).await.unwrap();
    sqlx::query(
        "INSERT INTO accounts (id, tenant_id, label, status, wanted, phone_number)
         VALUES ($1, $2, 'Front desk', 'connected', 'online', '49170000001')",
    )
    .bind(account)
    .bind(tenant)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("INSERT INTO leases (account_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(account)
        .execute(db)
        .await
        .unwrap();
    (tenant, account)
}

/// A one-off reminder that is due in so many milliseconds, with one text and one target; schedulers are woken, as by the api.
pub(crate) async fn reminder(db: &PgPool, (tenant, account): (TenantId, AccountId), in_ms: i32) -> ReminderId {
    let reminder = ReminderId::new();
    sqlx::query(
        "WITH r AS (
             INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, next_fire_at)
             SELECT $1, $2, $3, 'Stand-up', 'UTC', at AT TIME ZONE 'UTC', at FROM (SELECT now() + make_interval(secs => $4)) AS t (at)),
         m AS (INSERT INTO reminder_messages (tenant_id, reminder_id, position, body) VALUES ($2, $1, 0, 'hello'))
         INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat) VALUES ($2, $1, 0, '1203630000@g.us')",
    )
    .bind(reminder)
    .bind(tenant)
    .bind(account)
    .bind(f64::from(in_ms) / 1_000.0)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("SELECT pg_notify('switchboard_due', '')").execute(db).await.unwrap();
    reminder
}
