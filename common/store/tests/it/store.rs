//! Errors of the database in the store, and how the store drops a silent connection.

use std::time::Duration;

use kit::{Line, Proxy};
use sqlx::{ConnectOptions as _, PgPool};
use store::Error;

use crate::locks::waiting;

async fn fails(pool: &PgPool, statement: &'static str) -> Error {
    sqlx::query(statement).execute(pool).await.unwrap_err().into()
}

/// An error of a database that is read-only for a while (a failed-over primary, a full disk) says nothing about the
/// call, so the call is repeated. Only an error in the call or its values is final.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn only_the_call_itself_fails_for_good(pool: PgPool) {
    let values = fails(&pool, "INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), repeat('x', 10000))").await;
    assert!(values.is_unstorable() && !values.is_transient(), "{values}");
    let syntax = fails(&pool, "SELECT FROM nowhere").await;
    assert!(!syntax.is_unstorable() && !syntax.is_transient(), "{syntax}");

    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("SET default_transaction_read_only = on").execute(&mut *connection).await.unwrap();
    let insert = "INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), 'Acme')";
    let read_only: Error = sqlx::query(insert).execute(&mut *connection).await.unwrap_err().into();
    assert!(read_only.is_transient() && !read_only.is_unstorable(), "{read_only}");
    sqlx::query("SET statement_timeout = 1").execute(&mut *connection).await.unwrap();
    let slow: Error = sqlx::query("SELECT pg_sleep(5)").execute(&mut *connection).await.unwrap_err().into();
    assert!(slow.is_transient(), "{slow}");
}

/// R61: a migration that needs a table in use gives up after a moment, so that others do not wait behind it, and is
/// tried again.
#[sqlx::test(migrations = false)]
async fn a_migration_keeps_nobody_waiting(pool: PgPool) {
    store::MIGRATOR.run_to(20_261_126_000_001, &pool).await.unwrap();
    let mut working = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM runs FOR UPDATE").execute(&mut *working).await.unwrap();
    let url = pool.connect_options().to_url_lossy();
    let migrating = tokio::spawn(async move { store::migrate(url.as_str()).await });
    waiting(&pool, 1).await;
    let beside = sqlx::query("SELECT id FROM runs").execute(&pool);
    tokio::time::timeout(Duration::from_secs(8), beside).await.expect("it waits behind the migration").unwrap();
    drop(working);
    migrating.await.unwrap().unwrap();
    assert!(store::MIGRATOR.run(&pool).await.is_ok(), "nothing is left to be done");
}

/// A connection whose far end has fallen silent leaves the pool within seconds. It does not stay for as long as the
/// kernel tries to reach a lost host.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_silent_connection_leaves_the_pool(pool: PgPool) {
    let (proxy, url) = Proxy::before(pool.connect_options().to_url_lossy().as_str()).await.unwrap();
    let pool = store::connect(&url, 1).await.unwrap();
    store::ping(&pool).await.unwrap();
    proxy.set(Line::Silent);
    let silent = sqlx::query("SELECT 1").execute(&pool);
    assert!(tokio::time::timeout(Duration::from_millis(200), silent).await.is_err(), "the line is silent");
    let gone = async {
        while pool.size() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the silent connection kept its place");
    proxy.set(Line::Through);
    store::ping(&pool).await.unwrap();
}
