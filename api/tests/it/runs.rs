//! Runs, what people decide about them, and what they are told.

use chrono::{TimeDelta, Timelike as _, Utc};
use domain::id::RunId;
use serde_json::{Value, json};
use sqlx::PgPool;
use store::runs;

use crate::test_api::{Gateway, TestApi};

/// A reminder of two texts and three targets whose window is open all day where the test runs, due now.
async fn fired(api: &TestApi, tenant: &Gateway, recurrence: &str) -> (String, RunId) {
    let account = tenant.account("Sales").await;
    api.set_status(&account, "connected").await;
    let wish = json!({
        "account_id": account, "name": "Stand-up", "messages": ["one", "two"], "targets": ["1@g.us", "2@g.us", "3@g.us"],
        "start": "2190-01-04T09:00", "timezone": "UTC", "recurrence": {"kind": recurrence}, "window_end": 24,
    });
    let id = tenant.post("/v1/reminders", wish).await.expect(201).id();
    sqlx::query(
        "UPDATE reminders SET next_fire_at = date_trunc('second', now()),
             start_local = date_trunc('second', now() AT TIME ZONE 'UTC') WHERE id = $1",
    )
    .bind(id.parse::<uuid::Uuid>().unwrap())
    .execute(&api.db)
    .await
    .unwrap();
    let run = runs::fire_due(api.store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    runs::expand_run(api.store.for_all_tenants(), run).await.unwrap().quietly();
    (id, run)
}

/// The first target is sent, of the second the first text; then the window closes.
async fn close_window(api: &TestApi, run: RunId) {
    for sql in [
        "UPDATE messages SET state = 'sent', sent_at = now() WHERE run_id = $1 AND (run_position = 1 OR (run_position = 2 AND body = 'one'))",
        "UPDATE messages SET state = 'expired', failed_at = now() WHERE run_id = $1 AND state = 'queued'",
    ] {
        sqlx::query(sql).bind(run).execute(&api.db).await.unwrap();
    }
    runs::settle_runs(api.store.for_all_tenants(), &[run]).await.unwrap().quietly();
}

async fn send_queued(api: &TestApi, run: RunId) {
    sqlx::query("UPDATE messages SET state = 'sent', sent_at = now() WHERE run_id = $1 AND state = 'queued'")
        .bind(run)
        .execute(&api.db)
        .await
        .unwrap();
    runs::settle_runs(api.store.for_all_tenants(), &[run]).await.unwrap().quietly();
}

async fn reminder(tenant: &Gateway, id: &str) -> Value {
    tenant.get(&format!("/v1/reminders/{id}")).await.expect(200).json()
}

/// R46, R48: a run whose window closed rests with its reminder; resumed, it sends what was pending and nothing else, in the
/// same rows; asked for twice, it goes on once. Its end lifts the reminder, which is armed from then.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_paused_run_is_resumed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (id, run) = fired(&api, &tenant, "daily").await;
    close_window(&api, run).await;
    let paused = tenant.get(&format!("/v1/runs/{run}")).await.expect(200).json();
    assert_eq!((&paused["status"], &paused["sent"], &paused["total"]), (&json!("paused"), &json!(1), &json!(3)));
    assert_eq!(paused["targets"][1]["state"], "pending", "one of its two texts was sent");
    let resting = reminder(&tenant, &id).await;
    assert_eq!((&resting["status"], &resting["next_fire_at"]), (&json!("paused"), &Value::Null));
    let note = tenant.get("/v1/notifications").await.expect(200).json()["data"][0].clone();
    assert_eq!(
        (&note["kind"], &note["body"]),
        (&json!("paused"), &json!("1 of 3 groups delivered. Resume or cancel."))
    );

    let ids = "SELECT count(DISTINCT whatsapp_id) FROM messages";
    for _ in 0..2 {
        let resumed = tenant.post_empty(&format!("/v1/runs/{run}/resume")).await.expect(202).json();
        assert_eq!(resumed["status"], "running");
        assert_eq!(api.count("SELECT count(*) FROM messages WHERE state = 'queued' AND expires_at > now()").await, 3);
        assert_eq!(api.count(ids).await, 6, "no message is written anew");
    }
    assert_eq!(reminder(&tenant, &id).await["status"], "paused", "until the run is over");
    send_queued(&api, run).await;
    let over = tenant.get(&format!("/v1/runs/{run}")).await.expect(200).json();
    assert_eq!((&over["status"], &over["sent"]), (&json!("success"), &json!(3)));
    let lifted = reminder(&tenant, &id).await;
    assert_eq!(lifted["status"], "active");
    let next: chrono::DateTime<Utc> = lifted["next_fire_at"].as_str().unwrap().parse().unwrap();
    assert!(next > process::clock::now() + TimeDelta::hours(23), "{next}");
    assert_eq!(api.count("SELECT count(*) FROM events WHERE kind = 'reminder.resumed'").await, 1);
    let again = tenant.post_empty(&format!("/v1/runs/{run}/resume")).await.expect(409);
    assert_eq!(again.json()["detail"], "The run is success: only a paused run can be resumed");
}

/// R48: a run that goes on after a pause is not in the way of the next occurrence, nor that in its own; a window that closes
/// again pauses it again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_resumed_run_and_the_next_occurrence(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (id, run) = fired(&api, &tenant, "daily").await;
    close_window(&api, run).await;
    tenant.post_empty(&format!("/v1/reminders/{id}/resume")).await.expect(200);
    tenant.post_empty(&format!("/v1/runs/{run}/resume")).await.expect(202);
    sqlx::query("UPDATE reminders SET next_fire_at = now()").execute(&api.db).await.unwrap();
    let firing = runs::fire_due(api.store.for_all_tenants(), 10).await.unwrap().quietly();
    assert_eq!(firing.fired.len(), 1);
    let expansion = runs::expand_run(api.store.for_all_tenants(), firing.fired[0].run).await.unwrap().quietly();
    assert!(matches!(expansion, runs::Expansion::Expanded { messages: 6, .. }), "{expansion:?}");
    sqlx::query("UPDATE messages SET state = 'expired', failed_at = now() WHERE run_id = $1 AND state = 'queued'")
        .bind(run)
        .execute(&api.db)
        .await
        .unwrap();
    runs::settle_runs(api.store.for_all_tenants(), &[run]).await.unwrap().quietly();
    assert_eq!(tenant.get(&format!("/v1/runs/{run}")).await.expect(200).json()["status"], "paused");
    assert_eq!(reminder(&tenant, &id).await["status"], "paused");
    tenant.post_empty(&format!("/v1/runs/{run}/resume")).await.expect(202);
    send_queued(&api, run).await;
    assert_eq!(tenant.get(&format!("/v1/runs/{run}")).await.expect(200).json()["status"], "success");
    assert_eq!(reminder(&tenant, &id).await["status"], "active");
}

/// R48: who can't send can't resume, and is told why; nothing is changed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_can_not_be_resumed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (_, run) = fired(&api, &tenant, "none").await;
    let resume = async || tenant.post_empty(&format!("/v1/runs/{run}/resume")).await;
    resume().await.expect(409);
    close_window(&api, run).await;
    let account: uuid::Uuid = sqlx::query_scalar("SELECT account_id FROM runs").fetch_one(&api.db).await.unwrap();
    api.set_status(&account.to_string(), "logged_out").await;
    assert_eq!(resume().await.expect(409).problem(), "account-not-connected");
    api.set_status(&account.to_string(), "disconnected").await;
    // no window of hour 0 has closed; it is noon then in another zone
    let (zone, hour) = match i16::try_from(chrono::Utc::now().hour()).unwrap() {
        0 => ("Etc/GMT-12", 12),
        hour => ("UTC", hour),
    };
    let window = "UPDATE reminders SET window_end = $1, timezone = $2";
    sqlx::query(window).bind(hour).bind(zone).execute(&api.db).await.unwrap();
    let closed = resume().await.expect(409);
    assert_eq!(closed.json()["detail"], format!("The delivery window is closed until 00:00 in {zone}"));
    assert_eq!(api.count("SELECT count(*) FROM runs WHERE status = 'paused'").await, 1);
    for path in ["/v1/runs/nonsense/resume", "/v1/runs/nonsense/cancel"] {
        tenant.post_empty(path).await.expect(404);
    }
    tenant.post_empty(&format!("/v1/runs/{}/cancel", RunId::new())).await.expect(404);
}

/// R49: canceling skips what is pending, the run is `partial` and says so; a recurring reminder goes on, one for once ends.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_paused_run_is_canceled(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    for (recurrence, status) in [("daily", "active"), ("none", "ended")] {
        let (id, run) = fired(&api, &tenant, recurrence).await;
        let cancel = async || tenant.post_empty(&format!("/v1/runs/{run}/cancel")).await;
        close_window(&api, run).await;
        let canceled = cancel().await.expect(200).json();
        assert_eq!(canceled["status"], "partial");
        assert_eq!(canceled["summary"], "1 of 3 sent, 2 canceled by operator (1 text of them had left)");
        for (target, reason) in [(1, "canceled by operator (1 of 2 texts had left)"), (2, "canceled by operator")] {
            let target = &canceled["targets"][target];
            assert_eq!((&target["state"], &target["reason"]), (&json!("skipped"), &json!(reason)));
        }
        let after = reminder(&tenant, &id).await;
        assert_eq!((&after["status"], after["next_fire_at"].is_string()), (&json!(status), status == "active"));
        let again = cancel().await.expect(409);
        assert_eq!(again.json()["detail"], "The run is partial: it is over, there is nothing to cancel");
    }
}

/// A tenant's pause holds until the tenant lifts it, whatever becomes of a run; what passed meanwhile is not missed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reminder_is_paused_and_resumed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (id, run) = fired(&api, &tenant, "daily").await;
    let path = |verb: &str| format!("/v1/reminders/{id}/{verb}");
    for _ in 0..2 {
        let paused = tenant.post_empty(&path("pause")).await.expect(200).json();
        assert_eq!((&paused["status"], &paused["next_fire_at"]), (&json!("paused"), &Value::Null));
    }
    close_window(&api, run).await;
    tenant.post_empty(&format!("/v1/runs/{run}/cancel")).await.expect(200);
    assert_eq!(reminder(&tenant, &id).await["status"], "paused", "its tenant paused it");
    sqlx::query("UPDATE reminders SET start_local = start_local - interval '10 days'").execute(&api.db).await.unwrap();
    for _ in 0..2 {
        let resumed = tenant.post_empty(&path("resume")).await.expect(200).json();
        assert_eq!(resumed["status"], "active");
    }
    assert_eq!(runs::fire_due(api.store.for_all_tenants(), 10).await.unwrap().quietly().due, 0);
    assert_eq!(api.count("SELECT count(*) FROM runs WHERE status = 'missed'").await, 0);

    let (once, _) = fired(&api, &tenant, "none").await;
    for verb in ["pause", "resume"] {
        let refused = tenant.post_empty(&format!("/v1/reminders/{once}/{verb}")).await.expect(409);
        assert!(refused.json()["detail"].as_str().unwrap().starts_with("The reminder is ended"), "{}", refused.text());
    }
}

/// R47, R51: runs are filtered and paged; clearing the history removes what is over, orphans included, and leaves the rest.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_history_is_listed_and_cleared(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (first, done) = fired(&api, &tenant, "daily").await;
    send_queued(&api, done).await;
    let (second, open) = fired(&api, &tenant, "daily").await;
    let (gone, orphan) = fired(&api, &tenant, "none").await;
    send_queued(&api, orphan).await;
    tenant.delete(&format!("/v1/reminders/{gone}")).await.expect(204);
    let list = async |query: &str| -> Vec<String> {
        let page = tenant.get(&format!("/v1/runs{query}")).await.expect(200).json();
        page["data"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    let ids = |runs: &[RunId]| runs.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(list("").await.len(), 3);
    let light = tenant.get("/v1/runs").await.expect(200).json()["data"][0].clone();
    assert_eq!((&light["messages"], &light["targets"]), (&Value::Null, &Value::Null), "texts may be long");
    assert_eq!(tenant.get(&format!("/v1/runs/{open}")).await.expect(200).json()["messages"], json!(["one", "two"]));
    assert_eq!(list(&format!("?reminder_id={second}")).await, ids(&[open]));
    assert_eq!(list(&format!("?status=success&reminder_id={first}")).await, ids(&[done]));
    assert_eq!(list("?since=2190-01-01T00:00:00Z").await, Vec::<String>::new());
    assert_eq!(list("?until=2190-01-01T00:00:00Z").await.len(), 3);
    let empty = tenant.get("/v1/runs?status=missed&until=2020-01-01T00:00:00Z").await.expect(200).json();
    assert_eq!(empty["empty"], "nothing with status=missed and until=2020-01-01T00:00:00+00:00");
    let page = tenant.get("/v1/runs?limit=2").await.expect(200).json();
    assert_eq!(list(&format!("?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await.len(), 1);
    for (query, field) in [
        ("status=lost", "status"),
        ("limit=0", "limit"),
        ("since=monday", "since"),
        ("since=-200000-01-01T00:00:00Z", "since"),
        ("until=-200000-01-01T00:00:00Z", "until"),
        ("until=%2B200000-01-01T00:00:00Z", "until"),
        ("x=1", "x"),
    ] {
        assert_eq!(tenant.get(&format!("/v1/runs?{query}")).await.expect(422).fields(), [field], "{query}");
    }
    let dashboard = tenant.get("/v1/dashboard").await.expect(200).json();
    assert_eq!(dashboard["accounts"]["by_status"]["connected"], 3);
    assert_eq!(dashboard["reminders"]["by_status"], json!({"active": 2, "paused": 0, "failed": 0, "ended": 0}));
    assert_eq!(
        (dashboard["recent_runs"].as_array().unwrap().len(), &dashboard["unread_notifications"]),
        (3, &json!(3))
    );

    // whatever a filter leaves out stays; one that is not known is refused and removes nothing
    let account = light["account_id"].as_str().unwrap();
    for (query, removed) in [
        ("?status=failed".to_owned(), 0),
        ("?status=running".to_owned(), 0),
        (format!("?reminder_id={second}"), 0),
        ("?since=2190-01-01T00:00:00Z".to_owned(), 0),
        ("?until=2020-01-01T00:00:00Z".to_owned(), 0),
        (format!("?status=success&account_id={account}&since=2020-01-01T00:00:00Z"), 1),
    ] {
        assert_eq!(tenant.delete(&format!("/v1/runs{query}")).await.expect(200).json()["removed"], removed, "{query}");
    }
    for query in ["limit=1", "state=success", "status=lost"] {
        let field = query.split('=').next().unwrap();
        assert_eq!(tenant.delete(&format!("/v1/runs?{query}")).await.expect(422).fields(), [field]);
    }
    assert_eq!(list("").await.len(), 2);
    assert_eq!(tenant.delete(&format!("/v1/runs?reminder_id={first}")).await.expect(200).json()["removed"], 1);
    assert_eq!(tenant.delete("/v1/runs").await.expect(200).json()["removed"], 0);
    assert_eq!(list("").await, ids(&[open]));
    send_queued(&api, open).await;
    assert_eq!(tenant.get(&format!("/v1/runs/{open}")).await.expect(200).json()["status"], "success");
}

/// R50: what is told, and what of it was read.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn notifications_are_read(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (id, run) = fired(&api, &tenant, "daily").await;
    sqlx::query(
        "UPDATE messages SET state = CASE run_position WHEN 1 THEN 'failed' ELSE 'sent' END, sent_at = now(),
             failed_at = CASE run_position WHEN 1 THEN now() END",
    )
    .execute(&api.db)
    .await
    .unwrap();
    runs::settle_runs(api.store.for_all_tenants(), &[run]).await.unwrap().quietly();
    let list = async |query: &str| tenant.get(&format!("/v1/notifications{query}")).await.expect(200).json();
    let all = list("").await["data"].clone();
    let told: Vec<_> = [0, 1].iter().map(|n: &usize| (all[n]["kind"].clone(), all[n]["body"].clone())).collect();
    assert_eq!(told[0], (json!("partial"), json!("2 of 3 groups delivered, 1 failed.")));
    assert_eq!(told[1].0, json!("fired"));
    assert_eq!((&all[0]["reminder_id"], &all[0]["run_id"]), (&json!(id), &json!(run)));
    let path = format!("/v1/notifications/{}/read", all[1]["id"].as_str().unwrap());
    for _ in 0..2 {
        tenant.post_empty(&path).await.expect(204);
    }
    let unread = list("?unread=true").await;
    assert_eq!((unread["data"].as_array().unwrap().len(), &unread["data"][0]["kind"]), (1, &json!("partial")));
    assert_eq!(tenant.post_empty("/v1/notifications/read").await.expect(200).json()["read"], 1);
    assert_eq!(list("?unread=true").await["empty"], "nothing with unread=true");
    assert!(list("?limit=1").await["data"][0]["read_at"].is_string());
}
