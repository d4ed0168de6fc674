//! Runs of one reminder that meet: the next one while one is in progress, two simultaneous requests, an edit during a
//! firing.

use domain::run::Status;
use sqlx::PgPool;
use store::runs::{Expansion, expand_run, fire_due, settle_runs};
use store::{MIGRATOR, Store, reminders, runs};

use crate::due::{account, count, leave_outbox, reminder};
use crate::runs::{edited, under_way};

const DAILY: Option<&str> = Some("FREQ=DAILY");

async fn is_due(db: &PgPool, overlap: &str) {
    let due = "UPDATE reminders SET overlap = $1, next_fire_at = now() WHERE status = 'active'";
    sqlx::query(due).bind(overlap).execute(db).await.unwrap();
}

/// R45, R50: with `skip` an occurrence that is due while a run is in progress is missed. It has a row without texts, an
/// event and a notification, once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_skipped_is_on_record(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    under_way(&db, of, 1).await;
    is_due(&db, "skip").await;
    let (firing, after) = fire_due(store.for_all_tenants(), 10).await.unwrap().parts();
    assert_eq!((firing.due, firing.fired.len(), after.tenants), (1, 0, vec![of.0]));
    assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().due, 0, "armed again");
    for sql in [
        "SELECT count(*) FROM runs WHERE status = 'missed' AND finished_at IS NOT NULL AND bodies = '{}' AND summary LIKE '%in progress%'",
        "SELECT count(*) FROM events WHERE kind = 'reminder.missed' AND data ->> 'count' = '1' AND data ->> 'run_id' IS NOT NULL",
        "SELECT count(*) FROM notifications WHERE kind = 'missed'",
        "SELECT count(*) FROM reminders WHERE status = 'active' AND next_fire_at > now()",
    ] {
        assert_eq!(count(&db, sql).await, 1, "{sql}");
    }
}

/// R45, R46, R49: with `queue` the next run waits. It begins when the run before has ended in any way, or is paused.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_waits_begins_after_any_end(db: PgPool) {
    let store = Store::from(db.clone());
    for (states, end) in [
        (["sent", "sent"], Status::Success),
        (["failed", "failed"], Status::Failed),
        (["sent", "failed"], Status::Partial),
        (["sent", "expired"], Status::Paused),
    ] {
        sqlx::query("DELETE FROM reminders").execute(&db).await.unwrap();
        let of = account(&db, "connected").await;
        let (_, first) = under_way(&db, of, 2).await;
        is_due(&db, "queue").await;
        let next = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        assert_eq!(expand_run(store.for_all_tenants(), next).await.unwrap().quietly(), Expansion::Waits, "{end}");
        for (position, state) in states.into_iter().enumerate() {
            leave_outbox(&db, first, i32::try_from(position).unwrap(), state).await;
        }
        let settled = settle_runs(store.for_all_tenants(), &[first]).await.unwrap().quietly();
        assert_eq!((settled[0].status, settled[0].next), (end, Some(next)));
        assert!(
            matches!(expand_run(store.for_all_tenants(), next).await.unwrap().quietly(), Expansion::Expanded { .. }),
            "{end}"
        );
    }
}

/// R47: a run that waits for a removed run begins.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_waits_begins_after_a_run_that_is_gone(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (_, first) = under_way(&db, of, 1).await;
    is_due(&db, "queue").await;
    let next = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    assert_eq!(expand_run(store.for_all_tenants(), next).await.unwrap().quietly(), Expansion::Waits);
    sqlx::query("DELETE FROM runs WHERE id = $1").bind(first).execute(&db).await.unwrap();
    assert!(matches!(expand_run(store.for_all_tenants(), next).await.unwrap().quietly(), Expansion::Expanded { .. }));
}

/// R48: two people resume a run at once. It goes on once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn two_resumes_are_one(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (_, run) = under_way(&db, of, 2).await;
    leave_outbox(&db, run, 0, "sent").await;
    leave_outbox(&db, run, 1, "expired").await;
    assert_eq!(settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly()[0].status, Status::Paused);
    let resume = || runs::resume(store.of(of.0), run);
    let (one, other) = tokio::join!(resume(), resume());
    assert_ne!(one.unwrap().under_way, other.unwrap().under_way);
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'queued'").await, 2);
    assert_eq!(
        count(&db, "SELECT count(*) FROM events WHERE kind = 'run.changed' AND data ->> 'status' = 'running'").await,
        1
    );
}

/// R44, R03: edits during firing and expanding. Nothing of an old text is left to be sent, no old run waits, and each
/// reminder has a next time. No occurrence is lost: it has one run that was not called back, or is armed again within
/// the next minute.
#[sqlx::test(migrator = "MIGRATOR")]
async fn edits_beside_firing(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let mut plans = Vec::new();
    for _ in 0..20 {
        let reminder = reminder(&db, of, DAILY, 2, 2).await;
        plans.push((reminder, edited(&db, of, reminder).await));
    }
    let firing = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..40 {
                for fired in fire_due(store.for_all_tenants(), 2).await.unwrap().quietly().fired {
                    expand_run(store.for_all_tenants(), fired.run).await.unwrap().quietly();
                }
            }
        }
    });
    let editing = tokio::spawn({
        let store = store.clone();
        async move {
            for (reminder, plan) in plans.into_iter().rev() {
                reminders::update(store.of(of.0), reminder, &plan).await.unwrap().quietly();
            }
        }
    });
    editing.await.unwrap();
    firing.await.unwrap();
    for (sql, left) in [
        ("SELECT count(*) FROM messages WHERE state = 'queued' AND body <> 'corrected'", 0),
        (
            "SELECT count(*) FROM runs r JOIN reminders m ON m.id = r.reminder_id WHERE r.version < m.version AND r.finished_at IS NULL",
            0,
        ),
        ("SELECT count(*) FROM reminders WHERE status = 'active' AND next_fire_at IS NOT NULL AND version = 2", 20),
        (
            "SELECT count(*) FROM reminders m
             WHERE (SELECT count(*) FROM runs r WHERE r.reminder_id = m.id AND r.status NOT IN ('canceled', 'missed'))
                   + (next_fire_at < now() + interval '2 minutes')::int = 1",
            20,
        ),
    ] {
        assert_eq!(count(&db, sql).await, left, "{sql}");
    }
}
