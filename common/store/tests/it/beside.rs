//! R83: edits while a session hands texts over. A text that has left counts as sent and never fires again.

use chrono::{DateTime, Duration, Utc};
use domain::id::{AccountId, MessageId, ReminderId, RunId, TenantId};
use sqlx::PgPool;
use store::handing::{self, Marked};
use store::messages;
use store::outbox::{self, Outcome};
use store::reminders::{self, Plan, Status};
use store::runs::{Expansion, expand_run, fire_due, settle_runs};
use store::{Error, Fence, MIGRATOR, Store, runs};

use crate::due::{account, count, leave_outbox, reminder, text};
use crate::runs::{edit, edited, under_way};

const DAILY: Option<&str> = Some("FREQ=DAILY");

async fn fence(db: &PgPool, of: (TenantId, AccountId)) -> Fence {
    let epoch = "SELECT epoch FROM leases WHERE account_id = $1";
    Fence { account: of.1, epoch: sqlx::query_scalar(epoch).bind(of.1).fetch_one(db).await.unwrap() }
}

/// The run's texts in order.
async fn texts(db: &PgPool, run: RunId) -> Vec<MessageId> {
    let ids = "SELECT id FROM messages WHERE run_id = $1 ORDER BY seq";
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(ids).bind(run).fetch_all(db).await.unwrap();
    ids.into_iter().map(MessageId).collect()
}

async fn hand_over(db: &PgPool, of: (TenantId, AccountId), texts: &[MessageId]) {
    let store = Store::from(db.clone());
    assert_eq!(handing::mark(store.under(fence(db, of).await), texts).await.unwrap().len(), texts.len());
}

async fn told(db: &PgPool, run: RunId) -> String {
    text(db, "SELECT status || ': ' || coalesce(summary, '') FROM runs WHERE id = $1", run.0).await.unwrap()
}

async fn next(db: &PgPool, of: (TenantId, AccountId), reminder: ReminderId) -> Option<DateTime<Utc>> {
    let store = Store::from(db.clone());
    reminders::get(store.of(of.0), reminder).await.unwrap().next_fire_at
}

fn is_tomorrow(at: DateTime<Utc>) -> bool {
    at > process::clock::now() + Duration::hours(23)
}

/// The reminder's current plan with another name.
async fn renamed(db: &PgPool, of: (TenantId, AccountId), reminder: ReminderId) -> Plan {
    let store = Store::from(db.clone());
    let messages = reminders::get(store.of(of.0), reminder).await.unwrap().messages;
    Plan { name: "Another name".to_owned(), messages, ..edited(db, of, reminder).await }
}

/// An edit between hand-over and acknowledgement fires nothing again, whichever of the texts have left. Those stay on
/// their way, the others are called back, and the run reports at once what is on the phone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_handed_over_counts_as_sent(db: PgPool) {
    let store = Store::from(db.clone());
    for (handed, says) in [(1, "partial: 0 of 1 sent, 1 failed: the reminder was edited"), (2, "success: 1 of 1 sent")]
    {
        for rrule in [DAILY, None] {
            let of = account(&db, "connected").await;
            let reminder = reminder(&db, of, rrule, 2, 1).await;
            let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
            expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
            let texts = texts(&db, run).await;
            hand_over(&db, of, &texts[..handed]).await;
            match edit(&db, of, reminder, Duration::zero()).await {
                Ok(next) => assert!(rrule.is_some() && is_tomorrow(next), "{next}"),
                Err(field) => assert_eq!((rrule, field.as_str()), (None, "start"), "what is for once has fired"),
            }
            if rrule.is_none() {
                assert_eq!(told(&db, run).await, "running: ", "the edit was refused");
                continue;
            }
            assert_eq!(told(&db, run).await, says);
            let reason = "SELECT coalesce(reason, '') FROM run_targets WHERE run_id = $1";
            let part = if handed == 1 { "the reminder was edited (1 of 2 texts had left)" } else { "" };
            assert_eq!(text(&db, reason, run.0).await.as_deref(), Some(part));
            let waiting = outbox::waiting(store.under(fence(&db, of).await), 10).await.unwrap();
            assert_eq!(waiting.iter().map(|row| row.id).collect::<Vec<_>>(), texts[..handed], "on their way still");
            let outcomes: Vec<_> =
                texts[..handed].iter().map(|id| Outcome { id: *id, attempts: 1, failure: None }).collect();
            let touched = outbox::finish(store.under(fence(&db, of).await), outcomes).await.unwrap();
            settle_runs(store.for_all_tenants(), &touched).await.unwrap().quietly();
            assert_eq!(told(&db, run).await, says);
            assert!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.is_empty());
        }
    }
}

/// A text that counted as sent and is refused by WhatsApp was not sent. Its run says so, and nothing fires again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_refused_after_the_edit_is_told(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, run) = under_way(&db, of, 2).await;
    let texts = texts(&db, run).await;
    hand_over(&db, of, &texts).await;
    edit(&db, of, reminder, Duration::zero()).await.unwrap();
    assert_eq!(told(&db, run).await, "success: 2 of 2 sent");
    let fence = fence(&db, of).await;
    for (id, failure) in texts.iter().zip([None, None, None, Some("no such chat".to_owned())]) {
        outbox::finish(store.under(fence), vec![Outcome { id: *id, attempts: 1, failure }]).await.unwrap();
    }
    assert_eq!(told(&db, run).await, "partial: 1 of 2 sent, 1 failed");
    let reason = "SELECT reason FROM run_targets WHERE run_id = $1 AND state = 'failed'";
    assert_eq!(text(&db, reason, run.0).await.as_deref(), Some("no such chat"));
    assert!(is_tomorrow(next(&db, of, reminder).await.unwrap()));
}

/// A text is either handed over or called back. The second of the two learns of the first. Marks of texts that did not
/// leave are removed again, and only the session that owns the account may set them.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_text_is_handed_over_or_called_back(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, run) = under_way(&db, of, 2).await;
    let (texts, fence) = (texts(&db, run).await, fence(&db, of).await);
    let mark = async |ids: &[MessageId]| {
        let mut marked = handing::mark(store.under(fence), ids).await.unwrap();
        marked.sort_by_key(|marked| marked.id.0);
        marked
    };
    let first = |first, id: &MessageId| Marked { id: *id, first };
    assert_eq!(mark(&texts[..2]).await, [first(true, &texts[0]), first(true, &texts[1])]);
    assert_eq!(mark(&texts[1..2]).await, [first(false, &texts[1])], "on another connection");
    handing::unmark(store.under(fence), &texts[..1]).await.unwrap();
    edit(&db, of, reminder, Duration::zero()).await.unwrap();
    assert_eq!(mark(&texts).await, [first(false, &texts[1])], "the others were called back");
    let stale = Fence { epoch: fence.epoch - 1, ..fence };
    assert!(matches!(handing::mark(store.under(stale), &texts).await, Err(Error::Fenced)));
    assert!(matches!(handing::unmark(store.under(stale), &texts).await, Err(Error::Fenced)));
}

/// An edit of only the name changes nothing that fires: pending, running, paused and finished runs stay as they are,
/// and nothing fires again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_new_name_changes_nothing_of_what_fires(db: PgPool) {
    let store = Store::from(db.clone());
    for rrule in [DAILY, None] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, rrule, 2, 1).await;
        let before = reminders::get(store.of(of.0), reminder).await.unwrap();
        let rename = async || {
            let plan = renamed(&db, of, reminder).await;
            assert!(reminders::get(store.of(of.0), reminder).await.unwrap().fires_as(&plan));
            assert!(reminders::rename(store.of(of.0), reminder, &plan).await.unwrap().quietly().is_some());
            next(&db, of, reminder).await
        };
        assert_eq!(rename().await, before.next_fire_at, "not fired yet");
        let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        let after = next(&db, of, reminder).await;
        assert_eq!(after.is_some(), rrule.is_some());
        assert_eq!(rename().await, after, "fired");
        assert!(matches!(
            expand_run(store.for_all_tenants(), run).await.unwrap().quietly(),
            Expansion::Expanded { messages: 2, .. }
        ));
        assert_eq!(rename().await, after, "under way");
        let texts = texts(&db, run).await;
        hand_over(&db, of, &texts[..1]).await;
        assert_eq!(rename().await, after, "handed over");
        assert_eq!(outbox::waiting(store.under(fence(&db, of).await), 10).await.unwrap().len(), 2);
        leave_outbox(&db, run, 0, "sent").await;
        settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
        assert_eq!((told(&db, run).await.as_str(), rename().await), ("success: 1 of 1 sent", after));
        let row = reminders::get(store.of(of.0), reminder).await.unwrap();
        assert_eq!((row.name.as_str(), row.version), ("Another name", before.version + 5));
        assert_eq!(row.status, if rrule.is_some() { Status::Active } else { Status::Ended });
        store::reminders::pause(store.of(of.0), reminder).await.ok();
        assert!(rename().await.is_none(), "it rests, or has ended");
        // a plan with another text is not only a new name
        let plan = Plan { messages: vec!["corrected".to_owned()], ..renamed(&db, of, reminder).await };
        assert!(reminders::rename(store.of(of.0), reminder, &plan).await.unwrap().quietly().is_none());
    }
    assert_eq!(count(&db, "SELECT count(*) FROM runs").await, 2);
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'message.canceled'").await, 0);
}

/// R84: a run in progress is canceled. Texts that were handed over stay sent, even if they are acknowledged later. The
/// rest is skipped, and the run says how much is on the phones. An edit does not bring back what a person has canceled.
/// The next run goes on.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_in_progress_is_canceled(db: PgPool) {
    let store = Store::from(db.clone());
    for (handed, says, target) in [
        (0, "canceled: 0 of 2 sent, 2 canceled by operator", "canceled by operator"),
        (
            1,
            "partial: 0 of 2 sent, 2 canceled by operator (1 text of them had left)",
            "canceled by operator (1 of 2 texts had left)",
        ),
        (2, "partial: 1 of 2 sent, 1 canceled by operator", ""),
        (4, "success: 2 of 2 sent", ""),
    ] {
        let of = account(&db, "connected").await;
        let reminder = reminder(&db, of, DAILY, 2, 2).await;
        let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        let after = next(&db, of, reminder).await;
        expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
        let texts = texts(&db, run).await;
        hand_over(&db, of, &texts[..handed]).await;
        sqlx::query("UPDATE reminders SET overlap = 'queue', next_fire_at = now() WHERE id = $1")
            .bind(reminder)
            .execute(&db)
            .await
            .unwrap();
        let behind = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
        assert_eq!(expand_run(store.for_all_tenants(), behind).await.unwrap().quietly(), Expansion::Waits);
        assert_eq!(runs::cancel(store.of(of.0), run).await.unwrap().quietly().next, Some(behind));
        assert_eq!(told(&db, run).await, says);
        let reason = "SELECT coalesce(reason, '') FROM run_targets WHERE run_id = $1 AND position = 0";
        assert_eq!(text(&db, reason, run.0).await.as_deref(), Some(target));
        assert!(matches!(runs::cancel(store.of(of.0), run).await, Err(Error::Conflict(_))), "it is over");
        let waiting = outbox::waiting(store.under(fence(&db, of).await), 10).await.unwrap();
        assert_eq!(waiting.iter().map(|row| row.id).collect::<Vec<_>>(), texts[..handed]);
        let outcomes: Vec<_> =
            texts[..handed].iter().map(|id| Outcome { id: *id, attempts: 1, failure: None }).collect();
        outbox::finish(store.under(fence(&db, of).await), outcomes).await.unwrap();
        assert_eq!(told(&db, run).await, says, "as its acknowledgements say, too");
        assert!(matches!(
            expand_run(store.for_all_tenants(), behind).await.unwrap().quietly(),
            Expansion::Expanded { .. }
        ));
        assert_eq!(next(&db, of, reminder).await, after, "its schedule goes on");
    }
}

/// R84: a run that has not begun is canceled. An edit does not bring it back, unlike a run that an edit itself has
/// called back.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_person_has_canceled_stays_so(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let reminder = reminder(&db, of, DAILY, 2, 1).await;
    let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    runs::cancel(store.of(of.0), run).await.unwrap().quietly();
    assert_eq!(told(&db, run).await, "canceled: 0 of 1 sent, 1 canceled by operator");
    assert!(matches!(expand_run(store.for_all_tenants(), run).await.unwrap().quietly(), Expansion::Already(_)));
    assert!(is_tomorrow(edit(&db, of, reminder, Duration::zero()).await.unwrap()));
}

/// R83: a text that counted as sent, was never acknowledged, and expires with its window was not sent. Its run says so
/// at the end.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_expires_after_the_edit_is_told(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, run) = under_way(&db, of, 1).await;
    hand_over(&db, of, &texts(&db, run).await).await;
    edit(&db, of, reminder, Duration::zero()).await.unwrap();
    assert_eq!(told(&db, run).await, "success: 1 of 1 sent");
    sqlx::query("UPDATE messages SET expires_at = now() - interval '1 minute'").execute(&db).await.unwrap();
    messages::expire_messages(store.for_all_tenants(), std::time::Duration::ZERO, 10).await.unwrap().quietly();
    assert_eq!(told(&db, run).await, "failed: 0 of 1 sent, 1 failed");
}

/// R83: a reminder that is deleted after it fired, and created again within the minute of grace, sends the same texts
/// to the same chats once. The new one begins with its next occurrence, or is refused if there is none. Texts that were
/// not handed over are sent.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_deleted_one_has_sent_is_not_sent_again(db: PgPool) {
    let store = Store::from(db.clone());
    for handed in [0, 1] {
        for rrule in [DAILY, None] {
            let of = account(&db, "connected").await;
            let (reminder, run) = {
                let reminder = reminder(&db, of, rrule, 2, 1).await;
                (reminder, fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run)
            };
            expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
            let row = reminders::get(store.of(of.0), reminder).await.unwrap();
            let (due, now) = (row.start_local.and_utc(), reminders::now(store.of(of.0)).await.unwrap());
            let next = rrule.map(|_| due + Duration::days(1));
            let again = Plan {
                messages: row.messages.clone(),
                next_fire_at: now + Duration::minutes(1),
                stands_for: Some((due, next)),
                ..edited(&db, of, reminder).await
            };
            hand_over(&db, of, &texts(&db, run).await[..handed]).await;
            reminders::delete(store.of(of.0), reminder).await.unwrap().quietly();
            let other = Plan { messages: vec!["other".to_owned()], ..again.clone() };
            let made = reminders::create(store.of(of.0), &other).await.unwrap();
            assert_eq!(made.next_fire_at.map(|at| at.timestamp()), Some(again.next_fire_at.timestamp()));
            match (handed, reminders::create(store.of(of.0), &again).await) {
                (0, Ok(made)) => assert_eq!(
                    made.next_fire_at.map(|at| at.timestamp()),
                    Some(again.next_fire_at.timestamp()),
                    "nothing was sent"
                ),
                (_, Ok(made)) => assert_eq!((made.next_fire_at, rrule), (next, DAILY)),
                (_, Err(error)) => assert!(matches!(error, Error::Conflict(_)) && rrule.is_none(), "{error}"),
            }
        }
    }
}
