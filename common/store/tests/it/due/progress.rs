//! The progress of a run, and runs that no worker can send any more.

use std::time::Duration;

use domain::run::Status;
use sqlx::PgPool;
use store::messages;
use store::runs::{expand_run, fire_due, settle_runs};
use store::{MIGRATOR, Store};

use super::{account, count, leave_outbox, reminder, text};

/// R45: a run reports its progress at most once a second, however many targets are sent meanwhile. Its end is a
/// separate event.
#[sqlx::test(migrator = "MIGRATOR")]
async fn progress_is_told_once_a_second(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    reminder(&db, of, Some("FREQ=DAILY"), 2, 9).await;
    let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
    let told = async || {
        let said = "SELECT string_agg((data ->> 'sent') || '/' || (data ->> 'total'), ' ' ORDER BY id) FROM events WHERE kind = 'run.progress' AND data ->> 'run_id' = $1::text";
        text(&db, said, run.0).await.unwrap_or_default()
    };
    let last_told = async |when: &str| {
        let sql = format!("UPDATE runs SET progress_at = now() + interval '{when}'");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&db).await.unwrap();
    };
    leave_outbox(&db, run, 0, "sent").await;
    settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    assert_eq!(told().await, "1/9");
    last_told("1 minute").await; // "a moment ago", however slow this machine is
    for position in 1..5 {
        leave_outbox(&db, run, position, "sent").await;
        settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    }
    assert_eq!(told().await, "1/9");
    last_told("-1 second").await;
    settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    assert_eq!(told().await, "1/9", "nothing is new");
    leave_outbox(&db, run, 5, "failed").await;
    settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    assert_eq!(told().await, "1/9 5/9");
    for position in 6..9 {
        leave_outbox(&db, run, position, "sent").await;
    }
    last_told("-1 second").await;
    assert_eq!(settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly()[0].status, Status::Partial);
    assert_eq!(told().await, "1/9 5/9");
    let over = "SELECT data ->> 'summary' FROM events WHERE kind = 'run.changed' AND data ->> 'run_id' = $1::text";
    assert_eq!(text(&db, over, run.0).await.unwrap(), "8 of 9 sent, 1 failed");
}

/// R45: a run whose account lost its phone meanwhile ends and says so. Messages that were sent by request wait for a
/// phone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_without_a_phone_ends(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let reminder = reminder(&db, of, Some("FREQ=DAILY"), 2, 2).await;
    let run = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    expand_run(store.for_all_tenants(), run).await.unwrap().quietly();
    leave_outbox(&db, run, 0, "sent").await;
    sqlx::raw_sql(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
             SELECT gen_random_uuid(), tenant_id, id, '1@g.us', 'by request', '3EB0' FROM accounts;
         UPDATE accounts SET status = 'logged_out', updated_at = now()",
    )
    .execute(&db)
    .await
    .unwrap();
    let strand =
        async || messages::strand_runs(store.for_all_tenants(), Duration::from_secs(60), 10).await.unwrap().quietly();
    assert_eq!(strand().await, [], "it may be paired again at once");
    sqlx::query("UPDATE accounts SET updated_at = now() - interval '2 minutes'").execute(&db).await.unwrap();
    assert_eq!(
        strand().await,
        [],
        "it was logged out: the same phone may come back within what its reminder catches up"
    );
    let window =
        "UPDATE accounts SET updated_at = now() - (SELECT catchup_window_s + 1 FROM reminders) * interval '1 second'";
    sqlx::query(window).execute(&db).await.unwrap();
    assert_eq!(strand().await, [of.0]);
    let settled = settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    assert_eq!((settled.len(), settled[0].status), (1, Status::Partial));
    assert_eq!(
        text(&db, "SELECT reason FROM run_targets WHERE run_id = $1 AND position = 1", run.0).await.unwrap(),
        "the account was logged out by its phone"
    );
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'queued' AND run_id IS NULL").await, 1);
    let kept = "SELECT (status = 'active' AND next_fire_at > now())::text FROM reminders WHERE id = $1";
    assert_eq!(text(&db, kept, reminder.0).await.unwrap(), "true");
}
