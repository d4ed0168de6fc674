//! Reminders that are disturbed while they run.

use std::time::Duration;

use e2e::Cluster;
use kit::until;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

/// Waits until the newest run of a reminder has this status, and returns it.
async fn run(cluster: &Cluster, reminder: &str, status: &str) -> Value {
    let found = until(status, async || {
        let runs = cluster.get(&format!("/v1/reminders/{reminder}/runs?limit=1")).await;
        runs["data"].as_array().unwrap().iter().find(|run| run["status"] == status).cloned()
    })
    .await;
    cluster.get(&format!("/v1/runs/{}", found["id"].as_str().unwrap())).await
}

async fn daily(cluster: &Cluster, account: &str, targets: &[&str]) -> String {
    let soon = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339();
    let wish = json!({"name": "Stand-up", "account_id": account, "messages": ["one", "two"], "targets": targets,
        "start": soon, "timezone": "UTC", "recurrence": {"kind": "daily"}, "window_end": 24});
    cluster.post("/v1/reminders", wish).await["id"].as_str().unwrap().to_owned()
}

/// R46, R48, R50: the window closes when each phone has the first of two texts. Nothing is sent any more; the run and
/// the reminder are paused. After a resume the second texts arrive, every text once, and the reminder is armed again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_window_closes_on_the_way(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let (bob, eve) = (cluster.number(), cluster.number());
    for number in [&bob, &eve] {
        let silent = json!({"number": number, "auto_receipts": "none"}); // a receipt says "sent" as well
        cluster.admin(Method::POST, "/phones", Some(silent)).await;
    }
    // the second text waits until the first is acknowledged
    let slow = json!({"kind": "delay", "ms": 5_000, "target": {"number": own}});
    cluster.admin(Method::POST, "/faults", Some(slow)).await;
    let reminder = daily(&cluster, &account, &[&bob, &eve]).await;
    for phone in [&bob, &eve] {
        cluster.shows(phone, &["one"]).await;
    }
    let closes = "UPDATE messages SET expires_at = now() WHERE run_id IS NOT NULL";
    sqlx::query(closes).execute(&cluster.pool).await.unwrap();
    until("acknowledgements", async || {
        let sent = "SELECT count(*) FROM messages WHERE state NOT IN ('queued', 'expired')";
        (sqlx::query_scalar::<_, i64>(sent).fetch_one(&cluster.pool).await.unwrap() == 2).then_some(())
    })
    .await;
    cluster.admin(Method::DELETE, "/faults", None).await;
    // the duty allows half a minute for an acknowledgement that is on its way
    let long_ago = "UPDATE messages SET expires_at = now() - interval '1 minute' WHERE state = 'queued'";
    sqlx::query(long_ago).execute(&cluster.pool).await.unwrap();
    let paused = run(&cluster, &reminder, "paused").await;
    assert_eq!(paused["summary"], "0 of 2 sent, 2 pending", "of each target one text is missing");
    for phone in [&bob, &eve] {
        assert_eq!(cluster.inbox(phone).await.len(), 1);
    }
    let resting = cluster.get(&format!("/v1/reminders/{reminder}")).await;
    assert_eq!((&resting["status"], &resting["next_fire_at"]), (&json!("paused"), &Value::Null));
    let told = cluster.get("/v1/notifications?unread=true&limit=1").await;
    assert_eq!(told["data"][0]["body"], "0 of 2 people delivered. Resume or cancel.");

    cluster.post(&format!("/v1/runs/{}/resume", paused["id"].as_str().unwrap()), json!({})).await;
    let over = run(&cluster, &reminder, "success").await;
    assert_eq!((&over["sent"], &over["total"]), (&json!(2), &json!(2)));
    for phone in [&bob, &eve] {
        let inbox = cluster.shows(phone, &["one", "two"]).await;
        assert!(inbox.len() == 2 && inbox.iter().all(|text| text["times_arrived"] == 1), "{inbox:?}");
    }
    let lifted = cluster.get(&format!("/v1/reminders/{reminder}")).await;
    assert_eq!((&lifted["status"], lifted["next_fire_at"].is_string()), (&json!("active"), true));
    cluster.stop(workers).await;
}

/// R45, R50: a reminder of an account without a phone fires on its second. Its run has the reason why nothing was sent,
/// and the schedule goes on. The sleeping scheduler learns of the reminder only by the wake-up.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_account_without_a_phone_keeps_its_schedule(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let account = cluster.account("Front desk").await;
    let reminder = daily(&cluster, &account, &["120363041234567890@g.us"]).await;
    let failed = run(&cluster, &reminder, "failed").await;
    assert_eq!(failed["summary"], "the account is not paired");
    let target = &failed["targets"][0];
    assert_eq!((&target["state"], &target["reason"]), (&json!("skipped"), &json!("the account is not paired")));
    let told = cluster.get("/v1/notifications?limit=1").await;
    assert_eq!((&told["data"][0]["kind"], &told["data"][0]["run_id"]), (&json!("failed"), &failed["id"]));
    assert_eq!(told["data"][0]["body"], "Nothing was sent: the account is not paired.");
    let armed = cluster.get(&format!("/v1/reminders/{reminder}")).await;
    assert_eq!((&armed["status"], armed["next_fire_at"].is_string()), (&json!("active"), true));
    let late = "SELECT extract(epoch FROM created_at - fire_at)::float8 FROM runs";
    let late: f64 = sqlx::query_scalar(late).fetch_one(&cluster.pool).await.unwrap();
    assert!((0.0..5.0).contains(&late), "{late} s");
    cluster.stop(workers).await;
}

/// R83: an edit between hand-over and acknowledgement doubles nothing. An edit of only the name leaves the run alone.
/// After an edit of the text, the texts that have left count as sent.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_edit_beside_a_fire_never_doubles(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 1).await;
    let (account, own) = cluster.connected("Ada").await;
    let bob = cluster.number();
    let silent = json!({"number": bob, "auto_receipts": "none"}); // a receipt says "sent" as well
    cluster.admin(Method::POST, "/phones", Some(silent)).await;
    let slow = json!({"kind": "delay", "ms": 4_000, "target": {"number": own}});
    cluster.admin(Method::POST, "/faults", Some(slow)).await;
    let soon = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339();
    let wish = |name: &str, text: &str| {
        json!({"name": name, "account_id": account, "messages": [text], "targets": [bob], "start": soon,
            "timezone": "UTC", "recurrence": {"kind": "daily"}})
    };
    let made = cluster.post("/v1/reminders", wish("Stand-up", "one")).await;
    let path = format!("/v1/reminders/{}", made["id"].as_str().unwrap());
    cluster.shows(&bob, &["one"]).await;
    for (edit, version, run) in [(wish("Sit-down", "one"), 2, "running"), (wish("Sit-down", "two"), 3, "success")] {
        let edited = cluster.ok(Method::PUT, &path, Some(edit)).await;
        assert_eq!(edited["version"], version);
        let next: chrono::DateTime<chrono::Utc> = edited["next_fire_at"].as_str().unwrap().parse().unwrap();
        assert!(next > chrono::Utc::now() + chrono::Duration::hours(23), "{next}: what was handed over fires again");
        let runs = cluster.get(&format!("{path}/runs")).await["data"].clone();
        assert_eq!((runs.as_array().unwrap().len(), &runs[0]["status"]), (1, &json!(run)));
    }
    let sent = until("the acknowledgement", async || {
        let sent = "SELECT count(*) FROM messages WHERE state = 'sent'";
        (sqlx::query_scalar::<_, i64>(sent).fetch_one(&cluster.pool).await.unwrap() == 1).then_some(())
    });
    sent.await;
    let runs = cluster.get(&format!("{path}/runs")).await["data"].clone();
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["summary"]), (1, &json!("1 of 1 sent")));
    let inbox = cluster.inbox(&bob).await;
    assert!(inbox.len() == 1 && inbox[0]["times_arrived"] == 1, "{inbox:?}");
    cluster.stop(workers).await;
}
