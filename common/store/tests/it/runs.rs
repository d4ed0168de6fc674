//! Runs that an edit, a delete or a person ends, and what happens at the same time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::id::{AccountId, ReminderId, RunId, TenantId};
use domain::reminder::{Misfire, Overlap};
use schedule::{OnGap, Spec};
use sqlx::PgPool;
use store::audit::Operator;
use store::outbox::{self, Outcome};
use store::reminders::{self, Plan};
use store::runs::{Expansion, expand_run, fire_due, give_up_runs, settle_runs, unsettled_runs};
use store::{Error, Fence, MIGRATOR, Store, accounts, runs};

use crate::due::{account, count, leave_outbox, reminder, text};

const DAILY: Option<&str> = Some("FREQ=DAILY");

/// A daily reminder of two texts with a run in progress.
pub(crate) async fn under_way(db: &PgPool, of: (TenantId, AccountId), targets: usize) -> (ReminderId, RunId) {
    let store = Store::from(db.clone());
    let reminder = reminder(db, of, DAILY, 2, targets).await;
    let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    assert!(matches!(expand_run(store.for_all_tenants(), run).await.unwrap().quietly(), Expansion::Expanded { .. }));
    (reminder, run)
}

/// A reminder's plan with another text.
pub(crate) async fn edited(db: &PgPool, of: (TenantId, AccountId), reminder: ReminderId) -> Plan {
    let store = Store::from(db.clone());
    let row = reminders::get(store.of(of.0), reminder).await.unwrap();
    Plan {
        account: of.1,
        name: row.name.clone(),
        timezone: row.timezone.clone(),
        start_local: row.start_local,
        start_later: row.start_later,
        rrule: row.rrule.clone(),
        times: row.times.clone(),
        exdates: row.exdates.clone(),
        on_gap: OnGap::Shift,
        recurrence: None,
        window: row.window(),
        misfire: Misfire::Latest,
        catchup_window_s: row.catchup_window_s,
        overlap: Overlap::Skip,
        next_fire_at: row.next_fire_at.unwrap_or_default(),
        messages: vec!["corrected".to_owned()],
        targets: row.targets.clone(),
        stands_for: None,
        expected: None,
    }
}

async fn run(db: &PgPool, run: RunId) -> (String, String) {
    let row = "SELECT status, coalesce(summary, '') FROM runs WHERE id = $1";
    sqlx::query_as(row).bind(run).fetch_one(db).await.unwrap()
}

async fn targets(db: &PgPool, run: RunId) -> Vec<String> {
    let states = "SELECT state FROM run_targets WHERE run_id = $1 ORDER BY position";
    sqlx::query_scalar(states).bind(run).fetch_all(db).await.unwrap()
}

/// R44: an edit ends a run in progress. Targets whose texts had all left keep their state, settled or not. The others
/// are skipped, and there are events for all of it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_edit_ends_a_run_under_way(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, id) = under_way(&db, of, 3).await;
    leave_outbox(&db, id, 0, "sent").await;
    sqlx::query("UPDATE messages SET state = 'sent', sent_at = now() WHERE run_position = 1 AND body = 'first'")
        .execute(&db)
        .await
        .unwrap();
    reminders::update(store.of(of.0), reminder, &edited(&db, of, reminder).await).await.unwrap().quietly();
    assert_eq!(targets(&db, id).await, ["sent", "failed", "skipped"], "of the second a part was sent");
    let summary = "1 of 3 sent, 1 failed, 1 skipped: the reminder was edited".to_owned();
    assert_eq!(run(&db, id).await, ("partial".to_owned(), summary));
    let told = "SELECT count(*) FROM events WHERE kind = 'run.changed' AND data ->> 'status' = 'partial'
                AND data ->> 'sent' = '1' AND data ->> 'total' = '3'";
    assert_eq!(count(&db, told).await, 1);
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'message.canceled'").await, 3);
    assert_eq!(count(&db, "SELECT count(*) FROM notifications WHERE kind = 'partial'").await, 1);
}

/// R44: a text that was called back on its way and was acknowledged nevertheless was sent. Its run says so.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_acknowledgement_after_the_edit_counts(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, id) = under_way(&db, of, 2).await;
    reminders::delete(store.of(of.0), reminder).await.unwrap().quietly();
    let summary = "0 of 2 sent, 2 skipped: the reminder was deleted".to_owned();
    assert_eq!(run(&db, id).await, ("canceled".to_owned(), summary));
    let flying: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM messages WHERE run_position = 0").fetch_all(&db).await.unwrap();
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases").fetch_one(&db).await.unwrap();
    for message in flying {
        let outcome = Outcome { id: message.into(), attempts: 1, failure: None };
        outbox::finish(store.under(Fence { account: of.1, epoch }), vec![outcome]).await.unwrap();
        assert_eq!(run(&db, id).await.0, "partial", "something is on the phone");
    }
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'sent'").await, 2);
    assert_eq!(targets(&db, id).await, ["sent", "skipped"]);
    assert_eq!(run(&db, id).await.1, "1 of 2 sent, 1 skipped: the reminder was deleted");
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'run.changed'").await, 3);
}

/// R49: a text that was acknowledged after its run had paused was sent. A cancel skips only the others.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cancel_leaves_what_was_sent(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (_, id) = under_way(&db, of, 2).await;
    sqlx::query("UPDATE runs SET status = 'paused'").execute(&db).await.unwrap();
    leave_outbox(&db, id, 0, "sent").await;
    leave_outbox(&db, id, 1, "expired").await;
    runs::cancel(store.of(of.0), id).await.unwrap().quietly();
    assert_eq!(targets(&db, id).await, ["sent", "skipped"]);
    assert_eq!(run(&db, id).await, ("partial".to_owned(), "1 of 2 sent, 1 canceled by operator".to_owned()));
}

/// R43, R44: an occurrence that fires while it is being edited is called back, and the edited one fires at most a
/// minute later. If the old one was sent, nothing more fires.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_edit_that_lands_on_its_occurrence_loses_nothing(db: PgPool) {
    let store = Store::from(db.clone());
    for sent in [false, true] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, DAILY, 2, 1).await;
        let plan = edited(&db, of, reminder).await;
        let old = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        if sent {
            expand_run(store.for_all_tenants(), old).await.unwrap().quietly();
            leave_outbox(&db, old, 0, "sent").await;
            settle_runs(store.for_all_tenants(), &[old]).await.unwrap().quietly();
        }
        let next = reminders::update(store.of(of.0), reminder, &plan).await.unwrap().quietly().next_fire_at.unwrap();
        assert_eq!(run(&db, old).await.0, if sent { "success" } else { "canceled" });
        assert_eq!(next > process::clock::now() + chrono::Duration::hours(23), sent);
        assert!(sent || is_next_minute(next), "{next}");
        // that minute has passed; or, for one that was sent, the next tick has
        let come = "UPDATE reminders SET next_fire_at = coalesce($2, now()) WHERE id = $1";
        let at = sent.then_some(plan.next_fire_at);
        sqlx::query(come).bind(reminder).bind(at).execute(&db).await.unwrap();
        let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired;
        assert_eq!(fired.len(), usize::from(!sent));
    }
}

fn is_next_minute(at: DateTime<Utc>) -> bool {
    let ahead = at - process::clock::now();
    at.timestamp() % 60 == 0 && ahead > chrono::Duration::zero() && ahead <= chrono::Duration::seconds(60)
}

/// Edits a reminder as a request does: reads what it has done, checks the plan, and writes it.
pub(crate) async fn edit(
    db: &PgPool,
    of: (TenantId, AccountId),
    reminder: ReminderId,
    later: chrono::Duration,
) -> Result<DateTime<Utc>, String> {
    let store = Store::from(db.clone());
    let mut plan = edited(db, of, reminder).await;
    plan.start_local += later;
    check(db, of, reminder, &mut plan).await?;
    let updated = reminders::update(store.of(of.0), reminder, &plan).await.map_err(|error| error.to_string())?;
    Ok(updated.next_fire_at.unwrap())
}

async fn check(db: &PgPool, of: (TenantId, AccountId), reminder: ReminderId, plan: &mut Plan) -> Result<(), String> {
    let store = Store::from(db.clone());
    let past = reminders::past(store.of(of.0), reminder).await.unwrap();
    let start = plan.start_local.format("%Y-%m-%dT%H:%M:%S").to_string();
    let spec = Spec {
        start: &start,
        timezone: &plan.timezone,
        recurrence: None,
        rrule: plan.rrule.as_deref(),
        exdates: &plan.exdates,
        on_gap: plan.on_gap,
        window_start: None,
        window_end: None,
    };
    plan.next_fire_at = spec.check_again(&past).map_err(|error| error.field.to_owned())?.first_fire;
    Ok(())
}

/// R43, R44: an occurrence of which nothing was sent is not lost by one or more edits. It is removed if the plan does
/// not have it, and comes back with a plan that has it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn edits_lose_no_occurrence(db: PgPool) {
    let store = Store::from(db.clone());
    let (stay, later) = (chrono::Duration::zero(), chrono::Duration::hours(6));
    for rrule in [DAILY, None] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, rrule, 2, 1).await;
        let old = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        for _ in 0..2 {
            let next = edit(&db, of, reminder, stay).await.unwrap();
            assert!(is_next_minute(next), "{rrule:?}: {next}");
            assert_eq!(run(&db, old).await.0, "canceled");
        }
        let moved = edit(&db, of, reminder, later).await.unwrap();
        assert!(moved > process::clock::now() + chrono::Duration::hours(5), "{rrule:?}: {moved}");
        let back = edit(&db, of, reminder, -later).await.unwrap();
        assert!(is_next_minute(back), "{rrule:?}: {back}");
        // the run in its place waits half an hour for its account, and is edited again
        for sql in [
            "UPDATE reminders SET next_fire_at = now(), start_local = start_local - interval '30 minutes' WHERE id = $1",
            "UPDATE runs SET fire_at = fire_at - interval '30 minutes' WHERE reminder_id = $1",
        ] {
            sqlx::query(sql).bind(reminder).execute(&db).await.unwrap();
        }
        let new = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        expand_run(store.for_all_tenants(), new).await.unwrap().quietly();
        let next = edit(&db, of, reminder, stay).await.unwrap();
        assert!(is_next_minute(next), "{rrule:?}: {next}");
        assert_eq!(run(&db, new).await.0, "canceled");
    }
}

/// R43, R44: an occurrence of which a text was sent is not sent again by an edit, even by an edit that was checked
/// before.
#[sqlx::test(migrator = "MIGRATOR")]
async fn edits_send_nothing_twice(db: PgPool) {
    let store = Store::from(db.clone());
    for rrule in [DAILY, None] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, rrule, 2, 2).await;
        let old = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        expand_run(store.for_all_tenants(), old).await.unwrap().quietly();
        let mut before = edited(&db, of, reminder).await;
        check(&db, of, reminder, &mut before).await.unwrap();
        assert!(is_next_minute(before.next_fire_at));
        sqlx::query("UPDATE messages SET state = 'sent', sent_at = now() WHERE run_position = 0 AND body = 'first'")
            .execute(&db)
            .await
            .unwrap();
        let after = edit(&db, of, reminder, chrono::Duration::zero()).await;
        let written = reminders::update(store.of(of.0), reminder, &before).await;
        let tomorrow = |at: DateTime<Utc>| at > process::clock::now() + chrono::Duration::hours(23);
        if rrule.is_some() {
            assert!(tomorrow(after.unwrap()));
            assert!(tomorrow(written.unwrap().next_fire_at.unwrap()));
        } else {
            assert_eq!(after.unwrap_err(), "start");
            assert!(matches!(written.err(), Some(Error::Conflict(_))));
        }
    }
}

/// R13: all runs of a deleted account are over, whatever they waited for.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_deleted_account_leaves_no_run_open(db: PgPool) {
    let store = Store::from(db.clone());
    for linked in [false, true] {
        let of = account(&db, "connected").await;
        let (_, id) = under_way(&db, of, 2).await;
        leave_outbox(&db, id, 0, "sent").await;
        leave_outbox(&db, id, 1, "expired").await;
        assert_eq!(settle_runs(store.for_all_tenants(), &[id]).await.unwrap().quietly().len(), 1);
        assert_eq!(run(&db, id).await.0, "paused");
        if linked {
            sqlx::query("INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ($1, 1, '', 'a', '')")
                .bind(of.1)
                .execute(&db)
                .await
                .unwrap();
        }
        accounts::delete(store.of(of.0), of.1, Operator::System("test")).await.unwrap().quietly();
        let summary = "1 of 2 sent, 1 skipped: the account was deleted".to_owned();
        assert_eq!(run(&db, id).await, ("partial".to_owned(), summary));
    }
    assert_eq!(
        count(&db, "SELECT count(*) FROM events WHERE kind = 'run.changed' AND data ->> 'status' = 'partial'").await,
        2
    );
}

/// R49: if a reminder has two paused runs, it stays paused until both have ended.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reminder_rests_while_a_run_of_it_does(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, first) = under_way(&db, of, 2).await;
    sqlx::query("UPDATE reminders SET overlap = 'allow', next_fire_at = now()").execute(&db).await.unwrap();
    let second = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    expand_run(store.for_all_tenants(), second).await.unwrap().quietly();
    for run in [first, second] {
        leave_outbox(&db, run, 0, "sent").await;
        leave_outbox(&db, run, 1, "expired").await;
    }
    assert_eq!(settle_runs(store.for_all_tenants(), &[first, second]).await.unwrap().quietly().len(), 2);
    let told = "SELECT count(*) FROM events WHERE kind = 'reminder.paused'";
    assert_eq!(count(&db, told).await, 1, "one rest is told once, however many runs it comes from");
    for (run, status) in [(first, "paused"), (second, "active")] {
        runs::cancel(store.of(of.0), run).await.unwrap().quietly();
        assert_eq!(text(&db, "SELECT status FROM reminders WHERE id = $1", reminder.0).await.unwrap(), status);
    }
}

/// A run that no worker can expand ends and says so. A run that waits for the run before, or for a worker that may
/// still come, is left alone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_that_nobody_can_begin_is_given_up(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    reminder(&db, of, DAILY, 2, 1).await;
    let stuck = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    let give_up = async || give_up_runs(store.for_all_tenants(), Duration::from_secs(300), 10).await.unwrap().quietly();
    sqlx::query("UPDATE runs SET created_at = now() - interval '10 minutes'").execute(&db).await.unwrap();
    assert!(give_up().await.is_empty(), "within the catch-up window of an hour");
    sqlx::query("UPDATE reminders SET catchup_window_s = 60, overlap = 'queue', next_fire_at = now()")
        .execute(&db)
        .await
        .unwrap();
    let behind = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    sqlx::query("UPDATE runs SET created_at = now() - interval '10 minutes'").execute(&db).await.unwrap();
    assert_eq!(give_up().await, [of.0]);
    assert_eq!(run(&db, stuck).await, ("failed".to_owned(), "no worker could begin it in time".to_owned()));
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'run.changed'").await, 1);
    assert_eq!(count(&db, "SELECT count(*) FROM notifications WHERE kind = 'failed'").await, 1);
    assert!(give_up().await.is_empty(), "the run before has only just ended");
    assert!(matches!(expand_run(store.for_all_tenants(), behind).await.unwrap().quietly(), Expansion::Expanded { .. }));
}

/// R46: a run with one expired target and another that is being sent can't be settled yet, and hides no other run.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_can_not_be_settled_is_not_looked_at(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (_, first) = under_way(&db, of, 2).await;
    leave_outbox(&db, first, 0, "expired").await;
    let (_, second) = under_way(&db, of, 2).await;
    leave_outbox(&db, second, 0, "sent").await;
    assert_eq!(unsettled_runs(store.for_all_tenants(), 1).await.unwrap(), [second]);
    leave_outbox(&db, first, 1, "sent").await;
    assert_eq!(unsettled_runs(store.for_all_tenants(), 1).await.unwrap(), [first]);
}
