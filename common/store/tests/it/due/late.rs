//! Occurrences that were due while no scheduler ran, or while the run before is in progress.

use domain::id::ReminderId;
use sqlx::PgPool;
use store::runs::{Expansion, expand_run, fire_due, settle_runs};
use store::{MIGRATOR, Store};

use super::{account, count, leave_outbox, reminder, text};

const EVERY_FIVE_MINUTES: &str = "FREQ=MINUTELY;INTERVAL=5";
/// How late the schedulers are. There are 37 late occurrences: 25 before the catch-up window of an hour, 12 within it,
/// and none in the last minute.
const LATE_S: i32 = 3 * 3_600 + 100;

async fn set(db: &PgPool, reminder: ReminderId, what: &str) {
    let sql = format!("UPDATE reminders SET {what} WHERE id = $1");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(reminder).execute(db).await.unwrap();
}

/// R45: the reminder's `misfire` decides which of the late occurrences after an outage fire. Of the others, the first
/// ten have a run `missed` each, and one event and one notification report all. The reminder is armed ahead.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_came_due_during_an_outage(db: PgPool) {
    let store = Store::from(db.clone());
    for (misfire, fires, missed) in [("latest", 1, 36), ("all", 10, 27), ("skip", 0, 37)] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, Some(EVERY_FIVE_MINUTES), LATE_S, 2).await;
        set(&db, reminder, &format!("misfire = '{misfire}'")).await;
        let (firing, after) = fire_due(store.for_all_tenants(), 10).await.unwrap().parts();
        assert_eq!((firing.due, firing.fired.len(), after.tenants), (1, fires, vec![of.0]), "{misfire}");
        assert_eq!(after.bells.len(), fires, "a bell for each new run");
        let said = async |sql: &str| text(&db, sql, of.0.0).await.unwrap();
        let rows = "SELECT count(*)::text FROM runs WHERE tenant_id = $1 AND status = 'missed' AND finished_at IS NOT NULL AND summary LIKE 'it %'";
        assert_eq!(said(rows).await, "10", "{misfire}");
        assert_eq!(
            said("SELECT string_agg((data ->> 'count') || ' ' || (data ->> 'more'), ',') FROM events WHERE tenant_id = $1 AND kind = 'reminder.missed'").await,
            format!("{missed} false"),
            "{misfire}"
        );
        let told = "SELECT string_agg(body, ',') FROM notifications WHERE tenant_id = $1 AND kind = 'missed'";
        assert!(said(told).await.starts_with(&format!("{missed} occurrences since ")), "{}", said(told).await);
        let targets = "SELECT count(*)::text FROM run_targets WHERE tenant_id = $1";
        assert_eq!(said(targets).await, (2 * fires).to_string(), "what is missed has no targets");
        let after =
            "SELECT (status = 'active' AND next_fire_at > now() AND next_fire_at <= now() + interval '5 minutes'
                         AND (last_fired_at IS NOT NULL) = ($2 > 0))::text FROM reminders WHERE tenant_id = $1";
        let fires = i64::try_from(fires).unwrap();
        let armed: String = sqlx::query_scalar(after).bind(of.0).bind(fires).fetch_one(&db).await.unwrap();
        assert_eq!(armed, "true", "{misfire}");
        assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().due, 0);
    }
}

/// R45: late occurrences of a reminder are sent one after the other, the oldest first. The end of one names the next.
#[sqlx::test(migrator = "MIGRATOR")]
async fn late_runs_wait_for_each_other(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let reminder = reminder(&db, of, Some(EVERY_FIVE_MINUTES), 700, 1).await;
    set(&db, reminder, "misfire = 'all'").await;
    let runs: Vec<_> =
        fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.iter().map(|fired| fired.run).collect();
    assert_eq!(runs.len(), 3);
    for (place, run) in runs.iter().enumerate() {
        for later in &runs[place + 1..] {
            assert_eq!(expand_run(store.for_all_tenants(), *later).await.unwrap().quietly(), Expansion::Waits);
        }
        assert!(matches!(
            expand_run(store.for_all_tenants(), *run).await.unwrap().quietly(),
            Expansion::Expanded { messages: 2, .. }
        ));
        for later in &runs[place + 1..] {
            assert_eq!(
                expand_run(store.for_all_tenants(), *later).await.unwrap().quietly(),
                Expansion::Waits,
                "the one before is in progress"
            );
        }
        leave_outbox(&db, *run, 0, "sent").await;
        let settled = settle_runs(store.for_all_tenants(), &[*run]).await.unwrap().quietly();
        assert_eq!((settled.len(), settled[0].next), (1, runs.get(place + 1).copied()));
    }
}

/// R45: an occurrence that is due while the run before is in progress is missed, waits for its end, or runs beside it,
/// as the reminder says.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_in_progress_and_the_next_occurrence(db: PgPool) {
    let store = Store::from(db.clone());
    for overlap in ["skip", "queue", "allow"] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
        let first = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        expand_run(store.for_all_tenants(), first).await.unwrap().quietly();
        set(&db, reminder, &format!("overlap = '{overlap}', next_fire_at = date_trunc('second', now())")).await;
        let firing = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly();
        assert_eq!((firing.due, firing.fired.len()), (1, usize::from(overlap != "skip")), "{overlap}");
        match overlap {
            "skip" => {
                let why = "SELECT summary FROM runs WHERE tenant_id = $1 AND status = 'missed'";
                let why = text(&db, why, of.0.0).await.unwrap();
                assert_eq!(why, "the run before was still in progress (`overlap`: `skip`)");
                assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'reminder.missed'").await, 1);
            }
            "queue" => {
                let second = firing.fired[0].run;
                assert_eq!(expand_run(store.for_all_tenants(), second).await.unwrap().quietly(), Expansion::Waits);
                leave_outbox(&db, first, 0, "sent").await;
                assert_eq!(
                    settle_runs(store.for_all_tenants(), &[first]).await.unwrap().quietly()[0].next,
                    Some(second)
                );
                assert!(matches!(
                    expand_run(store.for_all_tenants(), second).await.unwrap().quietly(),
                    Expansion::Expanded { .. }
                ));
            }
            _ => {
                let expansion = expand_run(store.for_all_tenants(), firing.fired[0].run).await.unwrap().quietly();
                assert!(matches!(expansion, Expansion::Expanded { .. }), "{expansion:?}");
            }
        }
    }
}
