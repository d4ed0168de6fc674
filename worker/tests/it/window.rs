//! The delivery window of a run, with real rows and a link that the test drives.

use std::time::Duration;

use domain::id::{AccountId, ReminderId, RunId, TenantId};
use kit::{rows, until};
use sqlx::PgPool;
use store::messages;
use store::{reminders, runs};
use worker::session::machine::state::End;

use crate::house::{House, ack, sent};

/// A run of one text to three groups, with queued messages. Its reminder's window is open all day.
async fn run(house: &House, account: AccountId) -> (TenantId, ReminderId, RunId) {
    let targets = (1..=3).map(|n| format!("{n}@g.us")).collect();
    let daily = rows::Reminder {
        rrule: Some("FREQ=DAILY"),
        due_s: 0.0,
        whole: true,
        window_end: Some(24),
        texts: &["hello"],
        targets,
    };
    let reminder = daily.insert(&house.pool, account).await;
    let tenant = "SELECT tenant_id FROM accounts WHERE id = $1";
    let tenant: TenantId = sqlx::query_scalar(tenant).bind(account).fetch_one(&house.pool).await.unwrap();
    let run = runs::fire_due(house.context.store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    let expansion = runs::expand_run(house.context.store.for_all_tenants(), run).await.unwrap().quietly();
    assert!(matches!(expansion, runs::Expansion::Expanded { messages: 3, .. }), "{expansion:?}");
    (tenant, reminder, run)
}

async fn said(house: &House, sql: &str, id: uuid::Uuid) -> String {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).bind(id).fetch_one(&house.pool).await.unwrap()
}

/// R46, R48: the window is checked before each send. It closes while the first message is being handed over, and the
/// second, which was read together with it, is not sent. The run is paused with its counts. After a resume the session
/// sends the other two, each once and with its former id. What had expired is not counted again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_window_closes_between_two_sends(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (tenant, reminder, run) = run(&house, account).await;
    let (orders, session) = house.session(account);
    let link = until("a link", async || house.switch.links.links().first().cloned()).await;
    let go = link.hold_sends_to("1@g.us");
    let closes = "UPDATE messages SET expires_at = clock_timestamp() + interval '2 seconds'";
    sqlx::query(closes).execute(&house.pool).await.unwrap();
    house.online(0).await;
    let first = sent(&link, 1).await;
    let passed = "SELECT bool_and(expires_at < clock_timestamp() - interval '50 ms') FROM messages";
    until("the window's end", async || {
        sqlx::query_scalar::<_, bool>(passed).fetch_one(&house.pool).await.unwrap().then_some(())
    })
    .await;
    go.notify_one();
    link.emit(ack(&first[0]));
    until("the first is sent", async || {
        let states = said(&house, "SELECT string_agg(state, ',' ORDER BY seq) FROM messages WHERE run_id = $1", run.0);
        (states.await == "sent,queued,queued").then_some(())
    })
    .await;
    orders.look.notify_one();
    tokio::time::sleep(Duration::from_millis(300)).await; // time for several looks at the rows
    assert_eq!(link.sent(), first, "sent after the window had closed");

    messages::expire_messages(house.context.store.for_all_tenants(), Duration::ZERO, 10).await.unwrap().quietly();
    runs::settle_runs(house.context.store.for_all_tenants(), &[run]).await.unwrap().quietly();
    let so = "SELECT status || ': ' || coalesce(summary, '') FROM runs WHERE id = $1";
    assert_eq!(said(&house, so, run.0).await, "paused: 1 of 3 sent, 2 pending");
    let targets = "SELECT string_agg(state, ',' ORDER BY position) FROM run_targets WHERE run_id = $1";
    assert_eq!(said(&house, targets, run.0).await, "sent,pending,pending");
    assert_eq!(said(&house, "SELECT status FROM reminders WHERE id = $1", reminder.0).await, "paused");

    let ids = "SELECT string_agg(whatsapp_id, ',' ORDER BY seq) FROM messages WHERE run_id = $1";
    let had = said(&house, ids, run.0).await;
    runs::resume(house.context.store.of(tenant), run).await.unwrap().quietly();
    orders.look.notify_one();
    let all = sent(&link, 3).await;
    assert_eq!(all.join(","), had, "each once, in order");
    for id in &all[1..] {
        link.emit(ack(id));
    }
    until("the end of the run", async || {
        runs::settle_runs(house.context.store.for_all_tenants(), &[run]).await.unwrap().quietly();
        (said(&house, so, run.0).await == "success: 3 of 3 sent").then_some(())
    })
    .await;
    assert_eq!(said(&house, "SELECT status FROM reminders WHERE id = $1", reminder.0).await, "active");
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(link.sent().len(), 3);
}

/// R83: a message is marked before it is handed over, so that a delete of the reminder meanwhile counts it as sent. A
/// message that was called back since it was read is not sent. The marks of messages that did not leave are removed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_handed_over_is_marked_before(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    let (tenant, reminder, run) = run(&house, account).await;
    let (orders, session) = house.session(account);
    let link = until("a link", async || house.switch.links.links().first().cloned()).await;
    let go = link.hold_sends_to("1@g.us");
    house.online(0).await;
    let marked = "SELECT string_agg((handed_at IS NOT NULL)::text, ',' ORDER BY seq) FROM messages WHERE run_id = $1";
    until("the marks", async || (said(&house, marked, run.0).await == "true,true,true").then_some(())).await;
    reminders::delete(house.context.store.of(tenant), reminder).await.unwrap().quietly();
    let so = "SELECT status || ': ' || summary FROM runs WHERE id = $1";
    assert_eq!(said(&house, so, run.0).await, "success: 3 of 3 sent", "all of them are on their way");
    go.notify_one();
    for id in sent(&link, 3).await {
        link.emit(ack(&id));
    }
    let states = "SELECT string_agg(state, ',' ORDER BY seq) FROM messages WHERE run_id = $1";
    until("acknowledgements", async || (said(&house, states, run.0).await == "sent,sent,sent").then_some(())).await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
}

/// R36, R84: a bell rings while texts of a run are being marked. The rows are read again meanwhile, and yet each text is
/// handed over once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_bell_while_texts_are_marked_sends_none_twice(pool: PgPool) {
    let house = House::new(pool).await;
    let account = house.account(15_550_001).await;
    run(&house, account).await;
    let mut lock = house.pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM messages FOR UPDATE").execute(&mut *lock).await.unwrap();
    let (orders, session) = house.session(account);
    let link = house.online(0).await;
    let marks = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the mark", async || {
        (sqlx::query_scalar::<_, i64>(marks).fetch_one(&house.pool).await.unwrap() == 1).then_some(())
    })
    .await;
    orders.mail.notify_one();
    tokio::time::sleep(Duration::from_millis(50)).await; // time for the look
    lock.rollback().await.unwrap();
    for text in sent(&link, 3).await {
        link.emit(ack(&text));
    }
    let left = "SELECT count(*) FROM messages WHERE state = 'queued'";
    until("all are sent", async || {
        (sqlx::query_scalar::<_, i64>(left).fetch_one(&house.pool).await.unwrap() == 0).then_some(())
    })
    .await;
    orders.release.cancel();
    assert_eq!(session.await.unwrap(), End::Released);
    assert_eq!(link.sent().len(), 3);
}
