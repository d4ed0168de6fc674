//! Firing, expanding and settling, on a real Postgres.

use std::collections::HashSet;

use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::run::Status;
use kit::rows;
use sqlx::PgPool;
use store::messages;
use store::runs::{Expansion, expand_run, fire_due, next_due_in, settle_runs, unsettled_runs};
use store::{MIGRATOR, Store};

mod crash;
mod erased;
mod late;
mod late_acks;
mod long;
mod progress;
mod zones;

/// A tenant with an account that has this status.
pub(crate) async fn account(db: &PgPool, status: &str) -> (TenantId, AccountId) {
    let number = matches!(status, "connected" | "disconnected").then_some("49170000001");
    rows::Account { wanted: "online", number, ..rows::Account::of(status) }.of_new_tenant(db).await
}

/// A reminder that has been due for `late` seconds, with two texts and these targets.
pub(crate) async fn reminder(
    db: &PgPool,
    of: (TenantId, AccountId),
    rrule: Option<&str>,
    late: i32,
    targets: usize,
) -> ReminderId {
    let targets = (0..targets).map(|n| format!("12036300000000{n}@g.us")).collect();
    let (due_s, texts) = (-f64::from(late), &["first", "second"]);
    rows::Reminder { rrule, due_s, whole: true, window_end: None, texts, targets }.insert(db, of.1).await
}

pub(crate) async fn text(db: &PgPool, sql: &str, id: uuid::Uuid) -> Option<String> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).bind(id).fetch_one(db).await.unwrap()
}

pub(crate) async fn count(db: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(db).await.unwrap()
}

/// Marks the queued messages of a run's target as gone.
pub(crate) async fn leave_outbox(db: &PgPool, run: RunId, position: i32, state: &str) {
    sqlx::query(
        "UPDATE messages SET state = $3, sent_at = CASE WHEN $3 = 'sent' THEN now() END, reason = 'as the test asked',
                failed_at = CASE WHEN $3 <> 'sent' THEN now() END
         WHERE run_id = $1 AND run_position = $2",
    )
    .bind(run)
    .bind(position)
    .bind(state)
    .execute(db)
    .await
    .unwrap();
}

/// R45: a one-off reminder fires once and ends. Its run has the targets, texts and names of that time.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_one_off_fires_and_ends(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let reminder = reminder(&db, of, None, 2, 3).await;
    let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
    assert_eq!(fired.len(), 1);
    assert_eq!((fired[0].tenant, fired[0].account), of);
    assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty());
    assert_eq!(text(&db, "SELECT status FROM reminders WHERE id = $1", reminder.0).await.unwrap(), "ended");
    assert_eq!(
        text(&db, "SELECT (last_fired_at IS NOT NULL)::text FROM reminders WHERE id = $1", reminder.0).await.unwrap(),
        "true"
    );
    assert_eq!(
        text(&db, "SELECT array_to_string(bodies, ',') FROM runs WHERE id = $1", fired[0].run.0).await.unwrap(),
        "first,second"
    );
    assert_eq!(text(&db, "SELECT account_label FROM runs WHERE id = $1", fired[0].run.0).await.unwrap(), "Front desk");
    assert_eq!(count(&db, "SELECT count(*) FROM run_targets WHERE state = 'pending'").await, 3);
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'reminder.fired'").await, 1);
}

/// R45: a recurring reminder is armed again for a later time. After a pause of days it fires once, not once per day.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_recurring_reminder_is_armed_again(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let days = 86_400;
    let reminder = reminder(&db, of, Some("FREQ=DAILY"), 3 * days + 5, 1).await;
    assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.len(), 1);
    assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty());
    let ahead = "SELECT (next_fire_at > now() AND next_fire_at <= now() + interval '1 day' AND status = 'active')::text FROM reminders WHERE id = $1";
    assert_eq!(text(&db, ahead, reminder.0).await.unwrap(), "true");
    let next = next_due_in(store.for_all_tenants()).await.unwrap().unwrap();
    assert!(next.as_secs() > 86_000 && next.as_secs() < 86_400, "{next:?}");
}

/// R03: several simultaneous schedulers fire each occurrence once.
#[sqlx::test(migrator = "MIGRATOR")]
async fn many_schedulers_fire_each_occurrence_once(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    for index in 0..300 {
        reminder(&db, of, (index % 2 == 0).then_some("FREQ=DAILY"), index, 1).await;
    }
    let schedulers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut fired = Vec::new();
            for _ in 0..40 {
                fired.extend(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired);
            }
            fired
        })
    });
    let mut fired = Vec::new();
    for scheduler in schedulers.collect::<Vec<_>>() {
        fired.extend(scheduler.await.unwrap());
    }
    let runs: HashSet<_> = fired.iter().map(|fired| fired.run).collect();
    assert_eq!((fired.len(), runs.len()), (300, 300));
    assert_eq!(count(&db, "SELECT count(*) FROM runs").await, 300);
    assert_eq!(count(&db, "SELECT count(DISTINCT reminder_id) FROM runs").await, 300);
}

/// A rule that can't be computed ends its reminder, but not the tick: the other reminders fire.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_broken_rule_never_stops_the_tick(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let broken = reminder(&db, of, Some("FREQ=NEVERLY"), 9, 1).await;
    let lost = reminder(&db, of, Some("FREQ=DAILY"), 8, 1).await;
    sqlx::query("UPDATE reminders SET timezone = 'Atlantis/Capital' WHERE id = $1")
        .bind(lost)
        .execute(&db)
        .await
        .unwrap();
    let sound = reminder(&db, of, Some("FREQ=DAILY"), 7, 1).await;
    assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.len(), 3);
    for (reminder, status) in [(broken, "failed"), (lost, "failed"), (sound, "active")] {
        assert_eq!(text(&db, "SELECT status FROM reminders WHERE id = $1", reminder.0).await.unwrap(), status);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'reminder.failed'").await, 2);
}

/// R45: a run is expanded once, in order, however often its bell rings and however many workers hear it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_doubled_bell_expands_a_run_once(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "disconnected").await;
    reminder(&db, of, None, 2, 3).await;
    let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    let expanding: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn({
                let store = store.clone();
                async move { expand_run(store.for_all_tenants(), run).await.unwrap().quietly() }
            })
        })
        .collect();
    let mut expanded = 0;
    for expansion in expanding {
        match expansion.await.unwrap() {
            Expansion::Expanded { account, messages, .. } => {
                assert_eq!((account, messages), (of.1, 6));
                expanded += 1;
            }
            other => assert_eq!(other, Expansion::Already(Status::Running)),
        }
    }
    assert_eq!(expanded, 1);
    let order: Vec<(i32, String)> =
        sqlx::query_as("SELECT run_position, body FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    let order: Vec<_> = order.iter().map(|(position, body)| (*position, body.as_str())).collect();
    assert_eq!(order, [(0, "first"), (0, "second"), (1, "first"), (1, "second"), (2, "first"), (2, "second")]);
    assert_eq!(
        count(&db, "SELECT count(DISTINCT whatsapp_id) FROM messages WHERE whatsapp_id ~ '^3EB0[0-9A-F]{18}$'").await,
        6
    );
    assert_eq!(expand_run(store.for_all_tenants(), RunId::new()).await.unwrap().quietly(), Expansion::Gone);
}

/// R44: after a reminder was edited or deleted, a pending run of its old version never sends.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_old_version_never_sends(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let edited = reminder(&db, of, Some("FREQ=DAILY"), 9, 1).await;
    let deleted = reminder(&db, of, Some("FREQ=DAILY"), 8, 1).await;
    let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
    sqlx::query("UPDATE reminders SET version = version + 1, next_fire_at = now() + interval '1 hour' WHERE id = $1")
        .bind(edited)
        .execute(&db)
        .await
        .unwrap();
    sqlx::query("DELETE FROM reminders WHERE id = $1").bind(deleted).execute(&db).await.unwrap();
    for fired in &fired {
        let expansion = expand_run(store.for_all_tenants(), fired.run).await.unwrap().quietly();
        assert!(matches!(expansion, Expansion::Dropped { status: Status::Canceled, .. }), "{expansion:?}");
    }
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM runs WHERE status = 'canceled' AND finished_at IS NOT NULL").await, 2);
    assert_eq!(count(&db, "SELECT count(*) FROM run_targets WHERE state = 'skipped' AND reason IS NOT NULL").await, 2);
}

/// R44: an edited reminder is armed only under its new schedule. The old occurrence does not fire.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_edit_rearms(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let reminder = reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
    sqlx::query("UPDATE reminders SET version = version + 1, next_fire_at = now() + interval '1 second' WHERE id = $1")
        .bind(reminder)
        .execute(&db)
        .await
        .unwrap();
    assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty());
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
    assert_eq!(text(&db, "SELECT version::text FROM runs WHERE id = $1", fired[0].run.0).await.unwrap(), "2");
    assert!(matches!(
        expand_run(store.for_all_tenants(), fired[0].run).await.unwrap().quietly(),
        Expansion::Expanded { .. }
    ));
}

/// An account that can't send makes the run fail with a reason. The schedule is kept.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_account_that_cannot_send_fails_the_run(db: PgPool) {
    let store = Store::from(db.clone());
    for status in ["unpaired", "logged_out", "banned", "pending"] {
        let of = account(&db, status).await;
        let reminder = reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
        let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        let Expansion::Dropped { status: Status::Failed, reason, .. } =
            expand_run(store.for_all_tenants(), run).await.unwrap().quietly()
        else {
            panic!("{status}: the run is failed");
        };
        assert!(reason.contains("account"), "{reason}");
        assert_eq!(text(&db, "SELECT summary FROM runs WHERE id = $1", run.0).await.unwrap(), reason);
        assert_eq!(
            text(
                &db,
                "SELECT (status = 'active' AND next_fire_at > now())::text FROM reminders WHERE id = $1",
                reminder.0
            )
            .await
            .unwrap(),
            "true"
        );
    }
}

/// R45: targets take their state from their messages, and a run takes its state from its targets. Settling again
/// changes nothing.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_is_settled_once_its_messages_have_left(db: PgPool) {
    let store = Store::from(db.clone());
    for (states, status, summary) in [
        (["sent", "sent"], Status::Success, "2 of 2 sent"),
        (["sent", "failed"], Status::Partial, "1 of 2 sent, 1 failed"),
        (["failed", "canceled"], Status::Failed, "0 of 2 sent, 2 failed"),
    ] {
        let of = account(&db, "connected").await;
        reminder(&db, of, Some("FREQ=DAILY"), 2, 2).await;
        let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
        assert!(unsettled_runs(store.for_all_tenants(), 10).await.unwrap().is_empty());
        leave_outbox(&db, run, 0, states[0]).await;
        assert_eq!(unsettled_runs(store.for_all_tenants(), 10).await.unwrap(), [run]);
        assert!(
            settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly().is_empty(),
            "the other target is pending"
        );
        assert_eq!(text(&db, "SELECT status FROM runs WHERE id = $1", run.0).await.unwrap(), "running");
        leave_outbox(&db, run, 1, states[1]).await;
        let settled = settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
        assert_eq!((settled.len(), settled[0].status), (1, status));
        assert!(settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly().is_empty());
        assert_eq!(text(&db, "SELECT summary FROM runs WHERE id = $1", run.0).await.unwrap(), summary);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'run.changed'").await, 3);
}

/// R46: messages of a run expire when its window closes. The run is `paused` if something was sent, otherwise `failed`.
/// What was not sent stays pending, and the reminder is paused.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_closed_window_pauses_the_run_and_its_reminder(db: PgPool) {
    let store = Store::from(db.clone());
    for (first, status) in [("sent", Status::Paused), ("expired", Status::Failed)] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, Some("FREQ=DAILY"), 0, 2).await;
        sqlx::query("UPDATE reminders SET window_end = 24 WHERE id = $1").bind(reminder).execute(&db).await.unwrap();
        let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        assert!(matches!(
            expand_run(store.for_all_tenants(), run).await.unwrap().quietly(),
            Expansion::Expanded { messages: 4, .. }
        ));
        let expiring = "SELECT count(*)::text FROM messages WHERE run_id = $1 AND expires_at = date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '1 day'";
        assert_eq!(text(&db, expiring, run.0).await.unwrap(), "4");
        leave_outbox(&db, run, 0, first).await;
        sqlx::query("UPDATE messages SET expires_at = now() - interval '2 minutes' WHERE run_id = $1")
            .bind(run)
            .execute(&db)
            .await
            .unwrap();
        assert_eq!(
            messages::expire_messages(store.for_all_tenants(), std::time::Duration::from_secs(60), 10)
                .await
                .unwrap()
                .quietly(),
            [of.0]
        );
        let settled = settle_runs(store.for_all_tenants(), &unsettled_runs(store.for_all_tenants(), 10).await.unwrap())
            .await
            .unwrap()
            .quietly();
        assert_eq!((settled.len(), settled[0].status), (1, status));
        assert_eq!(
            text(&db, "SELECT state FROM run_targets WHERE run_id = $1 AND position = 1", run.0).await.unwrap(),
            "pending"
        );
        assert_eq!(text(&db, "SELECT status FROM reminders WHERE id = $1", reminder.0).await.unwrap(), "paused");
        assert!(unsettled_runs(store.for_all_tenants(), 10).await.unwrap().is_empty());
    }
}
