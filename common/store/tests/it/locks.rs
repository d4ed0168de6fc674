//! Locks: transactions that touch the same rows at the same time.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use store::outbox::{self, Outcome};
use store::reminders::Wake;
use store::runs::{expand_run, fire_due, settle_runs};
use store::{Fence, MIGRATOR, Store, handing, reminders, runs};

use crate::due::{account, count, leave_outbox, reminder, text};
use crate::runs::under_way;

const DAILY: Option<&str> = Some("FREQ=DAILY");

/// Waits until this many sessions of this database wait for a lock.
pub(crate) async fn waiting(db: &PgPool, sessions: usize) {
    let blocked =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let sessions = i64::try_from(sessions).unwrap();
    kit::until("who waits", async || (count(db, blocked).await >= sessions).then_some(())).await;
}

async fn hold(db: &PgPool, sql: &str, id: uuid::Uuid) -> Transaction<'static, Postgres> {
    let mut holding = db.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).bind(id).execute(&mut *holding).await.unwrap();
    holding
}

/// The number of deadlocks that Postgres has resolved in this database.
async fn deadlocks(db: &PgPool) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(db).await.unwrap();
    count(db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await
}

/// Two workers that settle runs of the same two reminders do not deadlock.
#[sqlx::test(migrator = "MIGRATOR")]
async fn settling_side_by_side_is_no_deadlock(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let mut due = Vec::new();
    for _ in 0..2 {
        due.push(reminder(&db, of, DAILY, 2, 1).await);
    }
    sqlx::query("UPDATE reminders SET overlap = 'allow'").execute(&db).await.unwrap();
    let mut made = Vec::new();
    for order in [[0, 1], [1, 0]] {
        for which in order {
            sqlx::query("UPDATE reminders SET next_fire_at = now() WHERE id = $1")
                .bind(due[which])
                .execute(&db)
                .await
                .unwrap();
            sqlx::query("UPDATE reminders SET next_fire_at = now() + interval '1 hour' WHERE id <> $1")
                .bind(due[which])
                .execute(&db)
                .await
                .unwrap();
            made.push(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run);
        }
    }
    for run in &made {
        expand_run(store.for_all_tenants(), *run).await.unwrap().quietly();
        leave_outbox(&db, *run, 0, "expired").await;
    }
    let holding = hold(&db, "SELECT id FROM reminders WHERE id = $1 FOR UPDATE", due[0].0).await;
    let mut settling = Vec::new();
    for (place, pair) in made.chunks(2).enumerate() {
        let (store, pair) = (store.clone(), pair.to_vec());
        settling.push(tokio::spawn(async move { settle_runs(store.for_all_tenants(), &pair).await }));
        waiting(&db, place + 1).await;
    }
    drop(holding);
    for settling in settling {
        assert_eq!(settling.await.unwrap().unwrap().len(), 2);
    }
    assert_eq!(deadlocks(&db).await, 0);
}

/// R44: a session that writes acknowledgements and a person who deletes the reminder do not deadlock.
#[sqlx::test(migrator = "MIGRATOR")]
async fn acknowledging_beside_a_delete_is_no_deadlock(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, _) = under_way(&db, of, 1).await;
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases").fetch_one(&db).await.unwrap();
    let holding = hold(&db, "SELECT id FROM messages WHERE id = $1 FOR UPDATE", ids[0]).await;
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { reminders::delete(store.of(of.0), reminder).await }
    });
    waiting(&db, 1).await;
    let acknowledging = tokio::spawn({
        let outcomes: Vec<_> =
            ids.iter().rev().map(|id| Outcome { id: (*id).into(), attempts: 1, failure: None }).collect();
        let store = store.clone();
        async move { outbox::finish(store.under(Fence { account: of.1, epoch }), outcomes).await }
    });
    waiting(&db, 2).await;
    drop(holding);
    deleting.await.unwrap().unwrap().quietly();
    acknowledging.await.unwrap().unwrap();
    assert_eq!(deadlocks(&db).await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'sent'").await, 2);
}

/// R83: a session that hands texts over and a person who deletes the reminder do not deadlock. Each text is either
/// handed over or called back.
#[sqlx::test(migrator = "MIGRATOR")]
async fn handing_over_beside_an_edit_is_no_deadlock(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, _) = under_way(&db, of, 1).await;
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases").fetch_one(&db).await.unwrap();
    let holding = hold(&db, "SELECT id FROM messages WHERE id = $1 FOR UPDATE", ids[0]).await;
    let handing = tokio::spawn({
        let ids: Vec<_> = ids.iter().rev().map(|id| (*id).into()).collect();
        let store = store.clone();
        async move { handing::mark(store.under(Fence { account: of.1, epoch }), &ids).await }
    });
    waiting(&db, 1).await;
    let deleting = tokio::spawn({
        let store = store.clone();
        async move { reminders::delete(store.of(of.0), reminder).await }
    });
    waiting(&db, 2).await;
    drop(holding);
    deleting.await.unwrap().unwrap().quietly();
    let marked = handing.await.unwrap().unwrap().len();
    assert_eq!(deadlocks(&db).await, 0);
    for sql in [
        "SELECT count(*) FROM messages WHERE state = 'queued' AND handed_at IS NOT NULL",
        "SELECT 2 - count(*) FROM messages WHERE state = 'canceled' AND handed_at IS NULL",
    ] {
        assert_eq!(count(&db, sql).await, i64::try_from(marked).unwrap(), "{sql}");
    }
}

/// R44, R47: a run that is settled while its reminder is deleted ends once, and the reminder is gone, in either order.
#[sqlx::test(migrator = "MIGRATOR")]
async fn settling_beside_a_delete(db: PgPool) {
    let store = Store::from(db.clone());
    const TARGETS: &str = "SELECT position FROM run_targets WHERE run_id = $1 FOR UPDATE";
    const REMINDER: &str = "SELECT id FROM reminders WHERE id = $1 FOR UPDATE";
    for delete_first in [true, false] {
        let of = account(&db, "connected").await;
        let (reminder, run) = under_way(&db, of, 1).await;
        leave_outbox(&db, run, 0, "sent").await;
        let delete = || {
            let store = store.clone();
            tokio::spawn(async move { reminders::delete(store.of(of.0), reminder).await })
        };
        if delete_first {
            let holding = hold(&db, REMINDER, reminder.0).await;
            let deleting = delete(); // it has locked the run, and waits for the reminder
            waiting(&db, 1).await;
            assert_eq!(
                settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly(),
                [],
                "the settler does not wait for it"
            );
            drop(holding);
            deleting.await.unwrap().unwrap().quietly();
        } else {
            let holding = hold(&db, TARGETS, run.0).await;
            let settling = tokio::spawn({
                let store = store.clone();
                async move { settle_runs(store.for_all_tenants(), &[run]).await }
            }); // it has locked the run, and waits for a target
            waiting(&db, 1).await;
            let deleting = delete();
            waiting(&db, 2).await;
            drop(holding);
            assert_eq!(settling.await.unwrap().unwrap().len(), 1);
            deleting.await.unwrap().unwrap().quietly();
        }
        assert_eq!(text(&db, "SELECT status FROM runs WHERE id = $1", run.0).await.as_deref(), Some("success"));
        let told = "SELECT count(*)::text FROM events WHERE kind = 'run.changed' AND data ->> 'run_id' = $1::text";
        assert_eq!(text(&db, told, run.0).await.as_deref(), Some("1"), "its end is told once");
    }
    assert_eq!(count(&db, "SELECT count(*) FROM reminders").await, 0);
    assert_eq!(deadlocks(&db).await, 0);
}

/// R44: a delete that loses a deadlock is tried again, and the person does not notice. Postgres ends the transaction
/// that has waited for a second first. So the test repeats until that is the delete.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delete_that_loses_a_deadlock_is_tried_again(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    for _ in 0..10 {
        let (reminder, run) = under_way(&db, of, 1).await;
        let mut holding = hold(&db, "SELECT id FROM reminders WHERE id = $1 FOR UPDATE", reminder.0).await;
        let deleting = tokio::spawn({
            let store = store.clone();
            async move { reminders::delete(store.of(of.0), reminder).await }
        });
        waiting(&db, 1).await;
        // it has locked the run and waits for the reminder
        let lost = sqlx::query("SELECT id FROM runs WHERE id = $1 FOR UPDATE").bind(run).execute(&mut *holding).await;
        let delete_lost = lost.is_ok();
        if delete_lost {
            holding.commit().await.unwrap()
        } else {
            holding.rollback().await.unwrap()
        }
        deleting.await.unwrap().unwrap().quietly();
        assert_eq!(count(&db, "SELECT count(*) FROM reminders").await, 0);
        if delete_lost {
            return;
        }
    }
    panic!("the delete never lost");
}

/// R47: clearing the history does not wait for a run that another transaction is removing.
#[sqlx::test(migrator = "MIGRATOR")]
async fn clearing_leaves_alone_what_others_remove(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let mut over = Vec::new();
    for _ in 0..2 {
        let (_, run) = under_way(&db, of, 1).await;
        leave_outbox(&db, run, 0, "sent").await;
        settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
        over.push(run);
    }
    let everything = runs::Filter::default();
    let holding = hold(&db, "SELECT id FROM runs WHERE id = $1 FOR UPDATE", over[0].0).await;
    let cleared = tokio::time::timeout(Duration::from_secs(5), runs::clear(store.of(of.0), everything)).await;
    assert_eq!(cleared.expect("it does not wait").unwrap(), 1);
    holding.rollback().await.unwrap();
    assert_eq!(runs::clear(store.of(of.0), everything).await.unwrap(), 1);
}

/// A thousand reminders that are armed at once cause a few wake-ups, not a thousand.
#[sqlx::test(migrator = "MIGRATOR")]
async fn wakings_are_heard_together(db: PgPool) {
    let mut wake = Wake::listen(&db).await.unwrap();
    for _ in 0..1_000 {
        sqlx::query("SELECT pg_notify('switchboard_due', '')").execute(&db).await.unwrap();
    }
    let mut wakings = 0;
    while tokio::time::timeout(Duration::from_millis(500), wake.woken(Duration::from_millis(50))).await.is_ok() {
        wakings += 1;
    }
    assert!((1..100).contains(&wakings), "{wakings}");
}
