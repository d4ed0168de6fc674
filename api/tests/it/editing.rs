//! R88: editing a reminder: what is read can be sent back, single fields can be changed, and nobody's edit is lost.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::{Answer, Gateway, TestApi};

fn wish(account: &str) -> Value {
    json!({"account_id": account, "name": "Stand-up", "messages": ["one", "two"], "start": "2190-01-04T09:00",
        "timezone": "America/New_York", "targets": ["120363041234567890@g.us"]})
}

fn with(mut wish: Value, changes: &Value) -> Value {
    for (field, value) in changes.as_object().unwrap() {
        wish[field] = value.clone();
    }
    wish
}

async fn sent(tenant: &Gateway, method: Method, path: &str, body: &Value, tag: &str) -> Answer {
    Answer::of(tenant.request(method, path).header("If-Match", tag).json(body)).await
}

/// What `GET` answers is taken by `PUT` as it is, whatever kind of reminder it is, and by `POST` for another one; nothing changes but the
/// version.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_read_can_be_sent_back(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    for changes in [
        json!({}),
        json!({"recurrence": {"kind": "weekly", "weekdays": ["mon"], "end": {"after": 3}}, "window_end": 18}),
        json!({"recurrence": {"kind": "daily", "times": ["08:00", "13:30"]}, "window_start": "07:30", "window_end": "18:45"}),
        json!({"recurrence": {"kind": "daily", "times": ["08:30", "13:30"]}, "exdates": ["2190-01-06"]}),
        json!({"rrule": "FREQ=HOURLY;BYHOUR=22,23,0", "window_start": 22, "window_end": 2, "on_gap": "skip"}),
        json!({"rrule": "DTSTART;TZID=America/New_York:21900104T090000\nRRULE:FREQ=DAILY;UNTIL=21910101T000000Z"}),
        // the later of two equal times
        json!({"start": "2189-11-01T01:30:00-05:00", "rrule": "FREQ=HOURLY;INTERVAL=2"}),
        // a start in the past, which has fired for years
        json!({"start": "2020-01-06T09:00", "recurrence": {"kind": "weekly", "interval": 2}, "misfire": "all", "overlap": "queue"}),
    ] {
        let made = tenant.post("/v1/reminders", with(wish(&account), &changes)).await.expect(201);
        let path = format!("/v1/reminders/{}", made.id());
        let read = tenant.get(&path).await.expect(200);
        assert_eq!((read.json(), read.header("etag")), (made.json(), "\"1\""), "{changes}");
        let put = tenant.put(&path, read.json()).await.expect(200);
        let again = with(read.json(), &json!({"version": 2, "updated_at": put.json()["updated_at"]}));
        assert_eq!((put.json(), put.header("etag")), (again, "\"2\""), "{changes}");
        let other = tenant.post("/v1/reminders", read.json()).await.expect(201).json();
        for field in
            ["start", "rrule", "recurrence", "summary", "window_start", "window_end", "next_fire_at", "exdates"]
        {
            assert_eq!(other[field], read.json()[field], "{changes}: {field}");
        }
        assert_ne!(other["id"], read.json()["id"]);
    }
}

/// The starts, times and windows that no release before this one had arrive in what fires.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn times_windows_and_starts_are_kept(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let make =
        async |changes: Value| tenant.post("/v1/reminders", with(wish(&account), &changes)).await.expect(201).json();
    let often =
        make(json!({"recurrence": {"kind": "daily", "times": ["13:30", "08:00"]}, "window_end": "18:45"})).await;
    assert_eq!((&often["rrule"], &often["summary"]), (&Value::Null, &json!("Every day at 08:00, 13:30")));
    assert_eq!(often["recurrence"]["times"], json!(["08:00", "13:30"]));
    assert_eq!((&often["next_fire_at"], &often["window_end"]), (&json!("2190-01-04T18:30:00Z"), &json!("18:45")));
    let night = make(json!({"start": "2190-01-04T23:00", "window_start": "22:00", "window_end": 6})).await;
    assert_eq!((&night["window_start"], &night["window_end"]), (&json!(22), &json!(6)));
    let preview =
        json!({"start": "2190-01-04T23:00", "timezone": "America/New_York", "window_start": 22, "window_end": 6});
    let preview = tenant.post("/v1/reminders/preview", preview).await.expect(200).json();
    assert_eq!(preview["occurrences"][0]["window_closes_at"], "2190-01-05T11:00:00Z");
    let later = make(json!({"start": "2189-11-01T01:30:00-05:00", "rrule": "FREQ=HOURLY;INTERVAL=2"})).await;
    assert_eq!(later["start"], "2189-11-01T01:30:00-05:00");
    assert_eq!(later["next_fire_at"], "2189-11-01T06:30:00Z");
}

/// Single fields are changed, as RFC 7396 says; what comes of it is checked as a whole.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn single_fields_are_changed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let weekly = json!({"recurrence": {"kind": "weekly", "weekdays": ["mon", "thu"]}, "window_end": 18});
    let made = tenant.post("/v1/reminders", with(wish(&account), &weekly)).await.expect(201);
    let path = format!("/v1/reminders/{}", made.id());
    let mut now = made.json();
    for (patch, changed) in [
        (json!({}), json!({})),
        (json!({"name": "Sit-down"}), json!({"name": "Sit-down"})),
        (json!({"messages": ["three"]}), json!({"messages": ["three"]})),
        (json!({"window_end": null}), json!({"window_end": null})),
        (json!({"window_start": 8, "window_end": "18:30"}), json!({"window_start": 8, "window_end": "18:30"})),
        (
            json!({"recurrence": {"weekdays": ["fri"]}}),
            json!({"recurrence": {"kind": "weekly", "interval": 1, "weekdays": ["fri"], "month_day": null, "end": "never"},
                "rrule": "FREQ=WEEKLY;BYDAY=FR", "summary": "Every Fri", "next_fire_at": "2190-01-08T14:00:00Z"}),
        ),
        (
            json!({"rrule": "FREQ=MONTHLY;BYDAY=1MO"}),
            json!({"recurrence": null, "rrule": "FREQ=MONTHLY;BYDAY=1MO", "summary": "On the first Monday of every month",
                "next_fire_at": "2190-01-04T14:00:00Z"}),
        ),
        (
            json!({"recurrence": {"kind": "daily"}, "exdates": ["2190-01-04"]}),
            json!({"recurrence": {"kind": "daily", "interval": 1, "weekdays": [], "month_day": null, "end": "never"},
                "rrule": "FREQ=DAILY", "summary": "Every day", "exdates": ["2190-01-04"],
                "next_fire_at": "2190-01-05T14:00:00Z"}),
        ),
        (
            json!({"recurrence": null, "exdates": null, "id": "anything", "version": 99}),
            json!({"recurrence": {"kind": "none", "interval": 1, "weekdays": [], "month_day": null, "end": "never"},
                "rrule": null, "summary": "Once", "exdates": [], "next_fire_at": "2190-01-04T14:00:00Z"}),
        ),
    ] {
        let version = now["version"].as_i64().unwrap() + 1;
        let answer = tenant.patch(&path, patch.clone()).await.expect(200);
        now = with(with(now, &changed), &json!({"version": version, "updated_at": answer.json()["updated_at"]}));
        assert_eq!(answer.json(), now, "{patch}");
        assert_eq!(answer.header("etag"), format!("\"{version}\""));
    }
    let typed = tenant.request(Method::PATCH, &path).header("content-type", "application/merge-patch+json");
    Answer::of(typed.body(r#"{"name": "Stand-up"}"#)).await.expect(200);
    for (patch, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": null}), "name"),
        (json!({"window_end": 9}), "window_end"),
        (json!({"colour": 1}), "colour"),
        (json!({"recurrence": {"kind": "daily", "weekdays": ["mon"]}}), "recurrence.weekdays"),
        (json!([1]), "body"),
        (json!("name"), "body"),
    ] {
        assert_eq!(tenant.patch(&path, patch.clone()).await.expect(422).fields(), [field], "{patch}");
    }
    api.tenant().await.patch(&path, json!({"name": "Mine"})).await.expect(404);
    assert_eq!(tenant.get(&path).await.expect(200).json()["name"], "Stand-up");
}

/// `If-Match` guards replacing and changing: of two people who have read the same, the second is told; patches without it are all kept.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nobodys_edit_is_lost(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let account = tenant.account("Sales").await;
    let made = tenant.post("/v1/reminders", wish(&account)).await.expect(201);
    let path = format!("/v1/reminders/{}", made.id());
    let read = made.json();
    for (method, changes) in
        [(Method::PUT, with(read.clone(), &json!({"name": "Second"}))), (Method::PATCH, json!({"messages": ["three"]}))]
    {
        let tag = tenant.get(&path).await.expect(200).header("etag").to_owned();
        sent(&tenant, method.clone(), &path, &changes, &tag).await.expect(200);
        for stale in [tag.as_str(), "\"0\"", "W/\"1\"", "\"7\", \"8\"", "1"] {
            let refused = sent(&tenant, method.clone(), &path, &changes, stale).await.expect(412);
            assert_eq!(refused.problem(), "changed", "{stale}");
        }
        let version = tenant.get(&path).await.expect(200).json()["version"].clone();
        sent(&tenant, method.clone(), &path, &changes, &format!("\"0\", \"{version}\"")).await.expect(200);
        sent(&tenant, method.clone(), &path, &changes, "*").await.expect(200);
        // what is wrong is not looked at before
        sent(&tenant, method, &path, &json!({"name": 7}), "\"0\"").await;
    }
    let before = tenant.get(&path).await.expect(200).json()["version"].as_i64().unwrap();
    let patches = (0..4).map(|number| {
        let (tenant, path) = (&tenant, &path);
        let field = if number % 2 == 0 {
            json!({"name": format!("Number {number}")})
        } else {
            json!({"catchup_window_s": 100 + number})
        };
        async move { tenant.patch(path, field).await.expect(200).json()["version"].as_i64().unwrap() }
    });
    let mut versions = futures::future::join_all(patches).await;
    versions.sort_unstable();
    assert_eq!(versions, (before + 1..=before + 4).collect::<Vec<_>>());
    let after = tenant.get(&path).await.expect(200).json();
    assert!(after["name"].as_str().unwrap().starts_with("Number "), "{after}");
    assert!([101, 103].contains(&after["catchup_window_s"].as_i64().unwrap()), "{after}");
}
