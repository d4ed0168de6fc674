//! Schedulers that end or fall silent while they fire.

use std::time::Duration;

use sqlx::{ConnectOptions as _, PgPool};
use store::runs::{Fired, fire_due};
use store::{MIGRATOR, Store};

use super::{account, count, reminder, text};
use crate::locks::waiting;

/// Fires once, as soon as another session's end has released its locks.
async fn fire_soon(db: &PgPool) -> Vec<Fired> {
    let store = Store::from(db.clone());
    let firing = async {
        loop {
            let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
            if !fired.is_empty() {
                return fired;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), firing).await.expect("the locks are held for ever")
}

/// R03: a scheduler that dies at any of its steps leaves nothing behind, and the next one fires. An occurrence that
/// already has its run gets no second one.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_crash_between_the_steps_loses_nothing(db: PgPool) {
    let store = Store::from(db.clone());
    for table in ["runs", "run_targets", "events", "notifications"] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
        let mut holding = db.begin().await.unwrap();
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        sqlx::query(sqlx::AssertSqlSafe(lock)).execute(&mut *holding).await.unwrap();
        let dying = tokio::spawn({
            let store = store.clone();
            async move { fire_due(store.for_all_tenants(), 10).await }
        });
        waiting(&db, 1).await; // it has locked the reminder, and waits for this table
        let end = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock') AS ended";
        assert_eq!(count(&db, end).await, 1);
        dying.await.unwrap().unwrap_err();
        holding.rollback().await.unwrap();
        assert_eq!(fire_soon(&db).await.len(), 1, "{table}");
        for counted in [
            "SELECT count(*)::text FROM runs WHERE tenant_id = $1",
            "SELECT count(*)::text FROM run_targets WHERE tenant_id = $1",
            "SELECT count(*)::text FROM events WHERE tenant_id = $1",
            "SELECT count(*)::text FROM notifications WHERE tenant_id = $1",
            "SELECT count(*)::text FROM reminders WHERE tenant_id = $1 AND next_fire_at > now()",
        ] {
            assert_eq!(text(&db, counted, of.0.0).await.as_deref(), Some("1"), "{table}: {counted}");
        }

        // moved back by hand to the occurrence that has fired; it is armed again and does not fire again
        let back =
            "UPDATE reminders SET next_fire_at = (SELECT fire_at FROM runs WHERE reminder_id = $1) WHERE id = $1";
        sqlx::query(back).bind(reminder).execute(&db).await.unwrap();
        assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty());
        let runs = "SELECT count(*)::text FROM runs WHERE tenant_id = $1";
        assert_eq!(text(&db, runs, of.0.0).await.as_deref(), Some("1"));
        let armed = "SELECT (next_fire_at > now())::text FROM reminders WHERE id = $1";
        assert_eq!(text(&db, armed, reminder.0).await.as_deref(), Some("true"));
    }
}

/// R03: a scheduler that falls silent in the middle (its host is gone, or frozen) keeps its locks for a bounded time.
/// Then another one fires, and the silent one can't commit when it wakes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_silent_scheduler_lets_go(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
    let pool = store::connect(db.connect_options().to_url_lossy().as_str(), 1).await.unwrap();
    let mut silent = pool.begin().await.unwrap();
    let limit = sqlx::query_scalar::<_, String>("SHOW idle_in_transaction_session_timeout").fetch_one(&mut *silent);
    assert_eq!(limit.await.unwrap(), "30s");
    for step in [
        "SET LOCAL idle_in_transaction_session_timeout = '300ms'",
        "SELECT id FROM reminders WHERE next_fire_at <= now() FOR UPDATE SKIP LOCKED",
        "UPDATE reminders SET next_fire_at = NULL, status = 'ended'",
    ] {
        sqlx::query(step).execute(&mut *silent).await.unwrap();
    }
    assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty(), "locked by the other");
    assert_eq!(fire_soon(&db).await.len(), 1);
    silent.commit().await.unwrap_err();
    assert_eq!(count(&db, "SELECT count(*) FROM reminders WHERE next_fire_at > now()").await, 1);
    assert_eq!(count(&db, "SELECT count(*) FROM runs").await, 1);
}
