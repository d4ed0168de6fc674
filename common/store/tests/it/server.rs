//! The checks of a Postgres server before any work is done on it.

use sqlx::PgPool;
use store::server::{self, TABLES};

/// R60: the rights are checked on all existing tables.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_table_is_looked_at(pool: PgPool) {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(tables, TABLES);
    let mut db = pool.acquire().await.unwrap();
    assert_eq!(server::tables_without_rights(&mut db).await.unwrap(), Vec::<String>::new());
}

/// R60: the version of a schema, from none to newer than this program.
#[sqlx::test(migrations = false)]
async fn a_schema_is_as_far_as_its_migrations(pool: PgPool) {
    let mut db = pool.acquire().await.unwrap();
    let none = server::schema(&mut db).await.unwrap();
    assert_eq!((none.newest, none.fits()), (None, false));
    let versions: Vec<i64> = store::MIGRATOR.iter().map(|migration| migration.version).collect();
    assert_eq!(none.pending, versions);

    store::MIGRATOR.run_to(versions[versions.len() - 2], &pool).await.unwrap();
    let old = server::schema(&mut db).await.unwrap();
    assert_eq!((old.pending.as_slice(), old.fits()), (&versions[versions.len() - 1..], false));

    store::MIGRATOR.run(&pool).await.unwrap();
    let ours = server::schema(&mut db).await.unwrap();
    assert!(ours.fits() && ours.unknown.is_empty());
    assert_eq!(ours.newest, Some(server::newest_known()));

    let row = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ($1, '', $2, '', 0)";
    sqlx::query(row).bind(29_990_101_000_000_i64).bind(true).execute(&pool).await.unwrap();
    let newer = server::schema(&mut db).await.unwrap();
    assert!(newer.fits());
    assert_eq!(newer.unknown, [29_990_101_000_000]);

    sqlx::query(row).bind(29_990_102_000_000_i64).bind(false).execute(&pool).await.unwrap();
    let unfinished = server::schema(&mut db).await.unwrap();
    assert_eq!((unfinished.unfinished, unfinished.fits()), (Some(29_990_102_000_000), false));
}

/// R60: the server's clock agrees with this machine's, and the server takes writes.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn facts_are_told(pool: PgPool) {
    let mut db = pool.acquire().await.unwrap();
    let facts = server::facts(&mut db).await.unwrap();
    assert!(facts.version >= 15 && !facts.read_only && facts.schema_usable && !facts.tls, "{facts:?}");
    assert!(facts.ahead.abs().num_milliseconds() < 1_000 + facts.ahead_within.num_milliseconds(), "{facts:?}");
    assert!(facts.connections > 0 && facts.connections < facts.connections_max, "{facts:?}");
    server::write(&mut db, "test").await.unwrap();
    server::write(&mut db, "test").await.unwrap();
}
