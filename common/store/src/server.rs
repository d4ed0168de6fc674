//! Facts about a Postgres server: version, writability, clock, schema, and the rights of our role. Queried at the start
//! of a process and by `doctor`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::migrate::{Migrate as _, MigrateError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, PgPool};

use super::migrate::MIGRATOR;
use process::clock;
use process::telemetry::metrics::failure;
use process::telemetry::metrics::labels::PostgresError;
use process::trouble::Trouble;
use process::trouble::postgres::{self, Place};

/// The time limit for opening a connection.
pub const CONNECT: Duration = Duration::from_secs(5);

/// The time limit for the check of readiness, which has two seconds in total.
const HEALTHY: Duration = Duration::from_millis(1_500);

/// All tables of the schema. The role of a process that serves must be able to read and write them all.
pub const TABLES: [&str; 26] = [
    "accounts",
    "answers",
    "api_keys",
    "audit",
    "credentials",
    "event_era",
    "events",
    "groups",
    "hand_overs",
    "idempotency_keys",
    "leases",
    "messages",
    "notifications",
    "pairings",
    "passkeys",
    "reminder_messages",
    "reminder_targets",
    "reminders",
    "run_targets",
    "runs",
    "schedulers",
    "settings",
    "tenants",
    "webhook_deliveries",
    "webhooks",
    "workers",
];

/// Opens one connection within a time limit. Unlike a pool, this returns the reason of a failure.
///
/// # Errors
/// If it fails or takes too long.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let silent = || sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(CONNECT, options.connect()).await.unwrap_or_else(|_| Err(silent()))
}

/// Facts about a server.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The major version.
    pub version: i32,
    /// Whether it takes no writes, because it is a standby or because of a setting.
    pub read_only: bool,
    /// Whether our role may use the schema in which it looks for tables.
    pub schema_usable: bool,
    /// The highest number of connections for roles that are not superusers.
    pub connections_max: i64,
    /// The number of current connections.
    pub connections: i64,
    /// Whether this connection is encrypted.
    pub tls: bool,
    /// The size of this database in bytes.
    pub bytes: i64,
    /// How far our wall clock is ahead of the server's; negative if it is behind.
    pub ahead: TimeDelta,
    /// The largest error of `ahead`.
    pub ahead_within: TimeDelta,
}

/// Queries the facts.
///
/// # Errors
/// If the database fails.
pub async fn facts(db: &mut PgConnection) -> Result<Facts, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT current_setting('server_version_num')::int / 10000 AS "version!",
            pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS "read_only!",
            current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                AS "connections_max!",
            current_schema() IS NOT NULL AS "schema_usable!",
            (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS "connections!",
            coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS "tls!",
            pg_database_size(current_database()) AS "bytes!"
        "#
    )
    .fetch_one(&mut *db)
    .await?;
    let (ahead, ahead_within) = clock_offset(db).await?;
    Ok(Facts {
        version: row.version,
        read_only: row.read_only,
        schema_usable: row.schema_usable,
        connections_max: row.connections_max,
        connections: row.connections,
        tls: row.tls,
        bytes: row.bytes,
        ahead,
        ahead_within,
    })
}

/// How far our wall clock is ahead of the database's, and the largest error of that: half the round trip.
///
/// # Errors
/// If the database fails.
pub async fn clock_offset(db: &mut PgConnection) -> Result<(TimeDelta, TimeDelta), sqlx::Error> {
    let before = clock::now();
    let theirs: DateTime<Utc> =
        sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *db).await?;
    let took = clock::now() - before;
    Ok((before + took / 2 - theirs, took / 2))
}

/// The state of a schema, compared with the migrations in [`MIGRATOR`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// The newest applied migration; `None`: there is no schema.
    pub newest: Option<i64>,
    /// Migrations of this program that the database lacks.
    pub pending: Vec<i64>,
    /// Migrations of the database that this program does not know. The program is older than the schema, and can run on
    /// it.
    pub unknown: Vec<i64>,
    /// A migration that has begun and not finished.
    pub unfinished: Option<i64>,
}

impl Schema {
    /// Whether all migrations of this program are applied.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.pending.is_empty() && self.unfinished.is_none()
    }
}

/// The newest migration that this program knows.
#[must_use]
pub fn newest_known() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Reads the state of the schema. Changes nothing.
///
/// # Errors
/// If the database fails.
pub async fn schema(db: &mut PgConnection) -> Result<Schema, sqlx::Error> {
    let table = MIGRATOR.table_name.as_ref();
    let (applied, unfinished) = match listed(db, table).await {
        Err(error) if failure::of_postgres(&error) == Some(PostgresError::Schema) => (Vec::new(), None), // no such table: there is no schema
        listed => listed?,
    };
    let known = || MIGRATOR.iter().map(|migration| migration.version);
    Ok(Schema {
        newest: applied.iter().copied().max(),
        pending: known().filter(|version| !applied.contains(version)).collect(),
        unknown: applied.iter().copied().filter(|version| !known().any(|known| known == *version)).collect(),
        unfinished,
    })
}

async fn listed(db: &mut PgConnection, table: &str) -> Result<(Vec<i64>, Option<i64>), sqlx::Error> {
    let plain = |error: MigrateError| match error {
        MigrateError::Execute(error) => error,
        other => sqlx::Error::from(other),
    };
    let applied = db.list_applied_migrations(table).await.map_err(plain)?;
    let unfinished = db.dirty_version(table).await.map_err(plain)?;
    Ok((applied.into_iter().map(|migration| migration.version).collect(), unfinished))
}

/// The tables that our role can't read and write.
///
/// # Errors
/// If the database fails.
pub async fn tables_without_rights(db: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let tables: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
    sqlx::query_scalar!(
        r#"
        SELECT name AS "name!" FROM unnest($1::text[]) AS t (name)
        WHERE to_regclass(quote_ident(name)) IS NOT NULL AND NOT (
            has_table_privilege(to_regclass(quote_ident(name)), 'SELECT')
            AND has_table_privilege(to_regclass(quote_ident(name)), 'INSERT')
            AND has_table_privilege(to_regclass(quote_ident(name)), 'UPDATE')
            AND has_table_privilege(to_regclass(quote_ident(name)), 'DELETE'))
        ORDER BY name
        "#,
        &tables
    )
    .fetch_all(db)
    .await
}

/// Writes a row and commits it, which shows that the database accepts writes.
///
/// # Errors
/// If it does not.
pub async fn write(db: &mut PgConnection, who: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO settings (name, value) VALUES ($1, 'true')
         ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated_at = now()",
        format!("started_{who}")
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Checks over a pool that the database answers and takes writes. For readiness.
///
/// # Errors
/// What is wrong.
pub async fn healthy(pool: &PgPool) -> Result<(), Trouble> {
    let place = || Place::from(&*pool.connect_options());
    let writes = sqlx::query_scalar!(
        r#"SELECT NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean) AS "writes!""#
    );
    match tokio::time::timeout(HEALTHY, writes.fetch_one(pool)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(postgres::read_only(&place())),
        Ok(Err(error)) => Err(postgres::of(&error, &place())),
        Err(_) => Err(postgres::of(&sqlx::Error::PoolTimedOut, &place())),
    }
}
