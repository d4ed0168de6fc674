//! Reminders and their runs.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::TestApi;

fn wish(account: &str) -> Value {
    json!({
        "account_id": account, "name": "Stand-up", "messages": ["one", "two"],
        "targets": ["120363041234567890@g.us", "+4917012345678"],
        "start": "2190-01-04T09:00", "timezone": "Europe/Berlin",
        "recurrence": {"kind": "weekly", "weekdays": ["fri", "mon"]}, "window_end": 18,
    })
}

fn with(mut wish: Value, changes: Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        wish[field] = value.clone();
    }
    wish
}

/// R40, R41, R42: a reminder is read back as it was made, with its rule, its words and its next time.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reminder_is_created_and_read_back(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let made = tenant.post("/v1/reminders", wish(&account)).await.expect(201);
    let reminder = made.json();
    assert_eq!(reminder["status"], "active");
    assert_eq!(reminder["targets"], json!(["120363041234567890@g.us", "4917012345678@s.whatsapp.net"]));
    assert_eq!(reminder["messages"], json!(["one", "two"]));
    assert_eq!(
        (&reminder["rrule"], &reminder["summary"]),
        (&json!("FREQ=WEEKLY;BYDAY=MO,FR"), &json!("Every Mon, Fri"))
    );
    assert_eq!(reminder["recurrence"]["weekdays"], json!(["mon", "fri"]));
    assert_eq!(
        (&reminder["start"], &reminder["next_fire_at"]),
        (&json!("2190-01-04T09:00:00"), &json!("2190-01-04T08:00:00Z"))
    );
    assert_eq!(tenant.get(&format!("/v1/reminders/{}", made.id())).await.expect(200).json(), reminder);

    let once = with(wish(&account), json!({"recurrence": null, "start": "2190-01-04T09:00:00+01:00"}));
    let once = tenant.post("/v1/reminders", once).await.expect(201).json();
    assert_eq!((&once["rrule"], &once["summary"]), (&Value::Null, &json!("Once")));
    let raw = with(wish(&account), json!({"recurrence": null, "rrule": "RRULE:FREQ=MONTHLY;BYDAY=-1FR"}));
    assert_eq!(tenant.post("/v1/reminders", raw).await.expect(201).json()["rrule"], "FREQ=MONTHLY;BYDAY=-1FR");
}

/// R40, R41, R43: everything that is wrong is named.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_wrong_with_a_reminder_is_named(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    for (changes, fields) in [
        (json!({"name": ""}), vec!["name"]),
        (json!({"messages": []}), vec!["messages"]),
        (json!({"messages": ["ok", " "]}), vec!["messages[1]"]),
        (json!({"messages": vec!["x"; 11]}), vec!["messages"]),
        (
            json!({"messages": vec!["x".repeat(65_536); 10], "targets": (10..36).map(|n| format!("{n}@g.us")).collect::<Vec<_>>()}),
            vec!["messages"],
        ),
        (json!({"targets": []}), vec!["targets"]),
        (json!({"targets": ["4917012345678", "4917012345678@c.us"]}), vec!["targets[1]"]),
        (json!({"targets": ["nobody"]}), vec!["targets[0]"]),
        (json!({"start": "tomorrow"}), vec!["start"]),
        (json!({"start": "2020-01-01T09:00", "recurrence": null}), vec!["start"]),
        (json!({"timezone": "Berlin"}), vec!["timezone"]),
        (json!({"recurrence": {"kind": "daily", "interval": 0}}), vec!["recurrence.interval"]),
        (json!({"recurrence": {"kind": "hourly"}}), vec!["recurrence.kind"]),
        (json!({"rrule": "FREQ=DAILY"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=SECONDLY"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=DAILY;COUNT=0"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=DAILY;UNTIL=20270101"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20"}), vec!["rrule"]),
        (json!({"recurrence": null, "rrule": "FREQ=MINUTELY;INTERVAL=4"}), vec!["rrule"]),
        (json!({"recurrence": {"kind": "daily", "end": {"after": 0}}}), vec!["recurrence.end"]),
        (json!({"recurrence": {"kind": "daily", "end": {"until": "2027-01-01"}}}), vec!["recurrence.end"]),
        (json!({"recurrence": {"kind": "daily", "end": {"until": "2027-02-30"}}}), vec!["recurrence.end.until"]),
        (json!({"recurrence": {"kind": "monthly", "month_day": 32}}), vec!["recurrence.month_day"]),
        (json!({"exdates": ["Christmas"]}), vec!["exdates"]),
        (json!({"exdates": vec!["2190-01-05"; 501]}), vec!["exdates"]),
        (json!({"exdates": ["2190-01-05"], "recurrence": null}), vec!["exdates"]),
        (json!({"on_gap": "jump"}), vec!["on_gap"]),
        (json!({"recurrence": null, "rrule": "FREQ=HOURLY"}), vec!["window_end"]),
        (json!({"window_end": 25}), vec!["window_end"]),
        (json!({"window_end": 9}), vec!["window_end"]),
        (json!({"name": "", "messages": [], "timezone": "x"}), vec!["name", "messages", "timezone"]),
        (
            json!({"targets": (0..10_000).map(|n| format!("{}@g.us", 120_363_041_234_560_000_u64 + n)).collect::<Vec<_>>()}),
            vec!["targets"],
        ),
        (json!({"misfire": "never"}), vec!["misfire"]),
        (json!({"catchup_window_s": 59}), vec!["catchup_window_s"]),
        (json!({"catchup_window_s": 86_401}), vec!["catchup_window_s"]),
        (json!({"overlap": "both"}), vec!["overlap"]),
        (json!({"colour": 1}), vec!["colour"]),
        (json!({"account_id": "x"}), vec!["account_id"]),
    ] {
        let answer = tenant.post("/v1/reminders", with(wish(&account), changes.clone())).await;
        assert_eq!(answer.expect(422).fields(), fields, "{changes}");
    }
    assert_eq!(api.count("SELECT count(*) FROM reminders").await, 0);
}

/// R41: exceptions and what becomes of gaps are kept, replaced and heeded.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn exceptions_are_kept_and_heeded(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let changes = json!({"exdates": ["2190-01-05T09:00", "2190-01-04"], "on_gap": "skip",
        "recurrence": {"kind": "daily"}});
    let made = tenant.post("/v1/reminders", with(wish(&account), changes)).await.expect(201);
    let reminder = made.json();
    assert_eq!(reminder["exdates"], json!(["2190-01-04", "2190-01-05T09:00:00"]));
    assert_eq!((&reminder["on_gap"], &reminder["next_fire_at"]), (&json!("skip"), &json!("2190-01-06T08:00:00Z")));
    let path = format!("/v1/reminders/{}", made.id());
    let changed = with(wish(&account), json!({"recurrence": null, "rrule": "FREQ=HOURLY;BYHOUR=9,10"}));
    let changed = tenant.put(&path, changed).await.expect(200).json();
    assert_eq!((&changed["exdates"], &changed["on_gap"]), (&json!([]), &json!("shift")));
    assert_eq!(changed["next_fire_at"], "2190-01-04T08:00:00Z");
    assert_eq!((&changed["recurrence"], &changed["summary"]), (&Value::Null, &json!("Every hour in the hours 9, 10")));
    assert_eq!(tenant.get(&path).await.expect(200).json(), changed);
    let known = "SELECT count(*) FROM reminders WHERE tzdb_version IS NOT NULL";
    assert_eq!(api.count(known).await, 1, "whose clocks it was computed with");
}

/// R43: a start a moment ago is taken as the next full minute.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_click_too_late_is_forgiven(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let start = (process::clock::now() - chrono::Duration::seconds(20)).to_rfc3339();
    let late = with(wish(&account), json!({"start": start, "recurrence": null, "timezone": "UTC", "window_end": null}));
    let next = tenant.post("/v1/reminders", late).await.expect(201).json()["next_fire_at"].clone();
    let next: chrono::DateTime<chrono::Utc> = next.as_str().unwrap().parse().unwrap();
    assert!(next > process::clock::now() && next.timestamp() % 60 == 0, "{next}");
}

/// R43: past and future are told by the database's clock, by which reminders fire; an api's own may be minutes ahead.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_api_whose_clock_is_ahead_loses_nothing(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let now = process::clock::now();
    process::clock::skew(300); // each test is a process of its own
    let start = (now - chrono::Duration::seconds(2)).to_rfc3339();
    let asked = json!({"start": start, "timezone": "UTC", "recurrence": {"kind": "daily"}});
    tenant.post("/v1/reminders/preview", asked.clone()).await.expect(200);
    let wish = with(with(wish(&account), asked), json!({"window_end": null}));
    let made = tenant.post("/v1/reminders", wish.clone()).await.expect(201);
    let changed = tenant.put(&format!("/v1/reminders/{}", made.id()), wish).await.expect(200).json();
    for reminder in [made.json(), changed] {
        let next: chrono::DateTime<chrono::Utc> = reminder["next_fire_at"].as_str().unwrap().parse().unwrap();
        assert!(next > now && next <= now + chrono::Duration::seconds(70), "{next}");
    }
}

/// R43, R44: what recurs is edited long after its start, as it was read, and goes on; a start that passed is refused still for
/// what fires once.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_reminder_that_has_lived_is_edited(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let daily = with(wish(&account), json!({"recurrence": {"kind": "daily"}}));
    let id = tenant.post("/v1/reminders", daily).await.expect(201).id();
    sqlx::query("UPDATE reminders SET start_local = '2026-01-05 09:00'").execute(&api.db).await.unwrap();
    let path = format!("/v1/reminders/{id}");
    let mut read = tenant.get(&path).await.expect(200).json();
    for field in
        ["id", "status", "rrule", "summary", "version", "next_fire_at", "last_fired_at", "created_at", "updated_at"]
    {
        read.as_object_mut().unwrap().remove(field);
    }
    let renamed =
        tenant.put(&path, with(read.clone(), json!({"name": "Later", "messages": ["three"]}))).await.expect(200).json();
    let next: chrono::DateTime<chrono::Utc> = renamed["next_fire_at"].as_str().unwrap().parse().unwrap();
    let now = process::clock::now();
    assert!(next > now && next < now + chrono::Duration::hours(25), "{next}");
    assert_eq!((&renamed["name"], &renamed["start"]), (&json!("Later"), &json!("2026-01-05T09:00:00")));
    for (changes, field) in [
        (json!({"recurrence": null}), "start"),
        (json!({"recurrence": {"kind": "daily", "end": {"after": 2}}}), "recurrence"),
    ] {
        assert_eq!(tenant.put(&path, with(read.clone(), changes)).await.expect(422).fields(), [field]);
    }
}

/// R44: an update replaces texts and targets whole, raises the version and arms anew; what was pending never fires.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_update_cancels_what_was_pending(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (account, second) = (tenant.account("Sales").await, tenant.account("Support").await);
    api.set_status(&account, "connected").await;
    let id = tenant.post("/v1/reminders", wish(&account)).await.expect(201).id();
    sqlx::raw_sql(
        "INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies, status)
         SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, tenant_id, id, account_id, name, 'Sales', 1, now() + n * interval '1 s',
             '{one,two}', CASE n WHEN 1 THEN 'pending' WHEN 2 THEN 'running' ELSE 'paused' END FROM reminders, generate_series(1, 3) AS n;
         INSERT INTO run_targets (tenant_id, run_id, position, chat, state, finished_at)
         SELECT tenant_id, id, p, p || '@g.us', CASE WHEN p = 1 AND status <> 'pending' THEN 'sent' ELSE 'pending' END,
             CASE WHEN p = 1 AND status <> 'pending' THEN now() END FROM runs, generate_series(1, 2) AS p;
         INSERT INTO messages (id, tenant_id, account_id, run_id, run_position, chat, body, whatsapp_id)
         SELECT gen_random_uuid(), tenant_id, account_id, id, 2, '2@g.us', 'one', '3EB0' FROM runs WHERE status = 'running'",
    )
    .execute(&api.db)
    .await
    .unwrap();
    let changed = json!({"account_id": second, "name": "Later", "messages": ["three"], "targets": ["7@g.us"],
        "start": "2191-01-01T10:00", "recurrence": null});
    let updated = tenant.put(&format!("/v1/reminders/{id}"), with(wish(&account), changed)).await.expect(200).json();
    assert_eq!((&updated["version"], &updated["account_id"]), (&json!(2), &json!(second)));
    assert_eq!((&updated["messages"], &updated["targets"]), (&json!(["three"]), &json!(["7@g.us"])));
    assert_eq!(updated["next_fire_at"], "2191-01-01T09:00:00Z");
    let runs = tenant.get(&format!("/v1/reminders/{id}/runs?limit=2")).await.expect(200).json();
    let rest = tenant.get(&format!("/v1/reminders/{id}/runs?cursor={}", runs["next_cursor"].as_str().unwrap())).await;
    let status = |run: &Value| run["status"].as_str().unwrap().to_owned();
    let statuses = [status(&runs["data"][0]), status(&runs["data"][1]), status(&rest.expect(200).json()["data"][0])];
    assert_eq!(statuses, ["partial", "partial", "canceled"]);
    assert_eq!(
        api.count("SELECT count(*) FROM messages WHERE state = 'canceled' AND reason = 'the reminder was edited'")
            .await,
        1
    );
    assert_eq!(api.count("SELECT count(*) FROM run_targets WHERE state = 'pending'").await, 0);
}

/// R13, R47: a deleted reminder never fires; its runs stay readable, texts and targets included.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_history_outlives_the_reminder(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let id = tenant.post("/v1/reminders", wish(&account)).await.expect(201).id();
    sqlx::raw_sql(
        "INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies)
         SELECT gen_random_uuid(), tenant_id, id, account_id, name, 'Sales', 1, now(), '{one,two}' FROM reminders;
         INSERT INTO run_targets (tenant_id, run_id, position, chat) SELECT tenant_id, id, 1, '1@g.us' FROM runs",
    )
    .execute(&api.db)
    .await
    .unwrap();
    let run = tenant.get(&format!("/v1/reminders/{id}/runs")).await.expect(200).json()["data"][0]["id"].clone();
    tenant.delete(&format!("/v1/reminders/{id}")).await.expect(204);
    tenant.get(&format!("/v1/reminders/{id}")).await.expect(404);
    tenant.delete(&format!("/v1/reminders/{id}")).await.expect(404);
    tenant.delete(&format!("/v1/accounts/{account}")).await.expect(204);
    let run = tenant.get(&format!("/v1/runs/{}", run.as_str().unwrap())).await.expect(200).json();
    assert_eq!((&run["reminder_id"], &run["account_id"]), (&Value::Null, &Value::Null));
    assert_eq!((&run["reminder_name"], &run["account_label"]), (&json!("Stand-up"), &json!("Sales")));
    assert_eq!((&run["status"], &run["messages"]), (&json!("canceled"), &json!(["one", "two"])));
    assert_eq!((&run["targets"][0]["chat"], &run["targets"][0]["state"]), (&json!("1@g.us"), &json!("skipped")));
}

/// R51: reminders are filtered by status and account, in pages.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn reminders_are_listed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let (account, second) = (tenant.account("Sales").await, tenant.account("Support").await);
    for (number, account) in [&account, &account, &second].iter().enumerate() {
        let named = with(wish(account), json!({"name": format!("R{number}")}));
        tenant.post("/v1/reminders", named).await.expect(201);
    }
    sqlx::query("UPDATE reminders SET status = 'ended', next_fire_at = NULL WHERE name = 'R1'")
        .execute(&api.db)
        .await
        .unwrap();
    let names = async |query: &str| -> Vec<String> {
        let page = tenant.get(&format!("/v1/reminders{query}")).await.expect(200).json();
        page["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["R0", "R1", "R2"]);
    assert_eq!(names("?status=active").await, ["R0", "R2"]);
    assert_eq!(names("?status=paused").await, Vec::<String>::new());
    assert_eq!(names("?status=ended").await, ["R1"]);
    assert_eq!(names("?status=failed").await, Vec::<String>::new());
    sqlx::query("UPDATE reminders SET status = 'failed', next_fire_at = NULL WHERE name = 'R2'")
        .execute(&api.db)
        .await
        .unwrap();
    assert_eq!(names("?status=failed").await, ["R2"]);
    assert_eq!(names(&format!("?status=failed&account_id={account}")).await, Vec::<String>::new());
    let empty = tenant.get("/v1/reminders?status=paused").await.expect(200).json();
    assert_eq!(empty["empty"], "nothing with status=paused");
    assert_eq!(tenant.get("/v1/reminders").await.expect(200).json().get("empty"), None);
    assert_eq!(names(&format!("?account_id={account}")).await, ["R0", "R1"]);
    let page = tenant.get("/v1/reminders?limit=2").await.expect(200).json();
    assert_eq!(names(&format!("?cursor={}", page["next_cursor"].as_str().unwrap())).await, ["R2"]);
}

/// R51: what was created in the same instant is listed once each, wherever a page ends.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn pages_end_between_equal_times(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(tenant.post("/v1/reminders", wish(&account)).await.expect(201).id());
    }
    for sql in [
        "UPDATE reminders SET created_at = '2026-01-01T00:00:00.123456Z'",
        "INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies)
         SELECT gen_random_uuid(), tenant_id, id, account_id, name, 'Sales', 1, '2026-01-01T00:00:00.123456Z', '{one}'
         FROM reminders",
        "INSERT INTO notifications (id, tenant_id, kind, reminder_id, reminder_name, run_id, body, created_at)
         SELECT gen_random_uuid(), tenant_id, 'partial', reminder_id, reminder_name, id, '1 of 2', fire_at FROM runs",
    ] {
        sqlx::query(sql).execute(&api.db).await.unwrap();
    }
    for path in ["/v1/reminders", "/v1/runs", "/v1/notifications"] {
        let mut seen = std::collections::HashSet::new();
        let mut query = "?limit=2".to_owned();
        for page in 1..=3 {
            let rows = tenant.get(&format!("{path}{query}")).await.expect(200).json();
            for row in rows["data"].as_array().unwrap() {
                assert!(seen.insert(row["id"].to_string()), "{path}: {} is there twice", row["id"]);
            }
            match rows["next_cursor"].as_str() {
                Some(next) => query = format!("?limit=2&cursor={next}"),
                None => assert_eq!(page, 3, "{path}"),
            }
        }
        assert_eq!(seen.len(), 5, "{path}");
    }
}
