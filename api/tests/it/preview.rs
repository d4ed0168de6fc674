//! Previews: when a reminder would fire, without making one.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::TestApi;

/// R41, R42: instants, times on the wall, words, and what clocks do where they change.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_preview_tells_when_it_would_fire(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    // New York's clocks skip 02:00 to 03:00 on 2087-03-09, and show 01:00 to 02:00 twice on 2087-11-02
    let asked = json!({"start": "2087-03-08T02:30", "timezone": "America/New_York", "recurrence": {"kind": "daily"},
        "window_end": 18, "count": 3});
    let preview = tenant.post("/v1/reminders/preview", asked.clone()).await.expect(200).json();
    assert_eq!((&preview["summary"], &preview["rrule"]), (&json!("Every day"), &json!("FREQ=DAILY")));
    assert_eq!(preview["recurrence"]["kind"], "daily");
    assert_eq!(
        preview["occurrences"],
        json!([
            {"at": "2087-03-08T07:30:00Z", "local": "2087-03-08T02:30:00-05:00", "clocks": null, "nominal": null,
                "window_closes_at": "2087-03-08T23:00:00Z"},
            {"at": "2087-03-09T07:30:00Z", "local": "2087-03-09T03:30:00-04:00", "clocks": "shifted",
                "nominal": "2087-03-09T02:30:00", "window_closes_at": "2087-03-09T22:00:00Z"},
            {"at": "2087-03-10T06:30:00Z", "local": "2087-03-10T02:30:00-04:00", "clocks": null, "nominal": null,
                "window_closes_at": "2087-03-10T22:00:00Z"},
        ])
    );
    let with = |changes: Value| {
        let mut asked = asked.clone();
        for (field, value) in changes.as_object().unwrap() {
            asked[field] = value.clone();
        }
        asked
    };
    let skipping =
        tenant.post("/v1/reminders/preview", with(json!({"on_gap": "skip", "exdates": ["2087-03-10"]}))).await;
    let skipping = skipping.expect(200).json();
    assert_eq!(skipping["skipped"], json!(["2087-03-09T02:30:00"]));
    assert_eq!(skipping["occurrences"][1]["at"], "2087-03-11T06:30:00Z");

    let autumn = json!({"start": "2087-11-02T00:30", "recurrence": null, "rrule": "FREQ=HOURLY;COUNT=4", "window_end": null,
        "count": null});
    let autumn = tenant.post("/v1/reminders/preview", with(autumn)).await.expect(200).json();
    let told = |field: &str| -> Vec<Value> {
        autumn["occurrences"].as_array().unwrap().iter().map(|one| one[field].clone()).collect()
    };
    assert_eq!(told("clocks"), [Value::Null, json!("first_of_two"), json!("second_of_two"), Value::Null]);
    assert_eq!(told("at")[3], "2087-11-02T07:30:00Z");
    assert_eq!((&autumn["summary"], &autumn["recurrence"]), (&json!("Every hour, 4 times"), &Value::Null));

    let once =
        tenant.post("/v1/reminders/preview", with(json!({"recurrence": null, "count": 50}))).await.expect(200).json();
    assert_eq!(once["occurrences"].as_array().unwrap().len(), 1);
    assert_eq!((&once["summary"], &once["rrule"]), (&json!("Once"), &Value::Null));
    let many = tenant.post("/v1/reminders/preview", with(json!({"count": 50}))).await.expect(200).json();
    assert_eq!(many["occurrences"].as_array().unwrap().len(), 50);
    assert_eq!(api.count("SELECT count(*) FROM reminders").await, 0);
}

/// R41, R43: what would be refused is refused, and the field is named.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_preview_names_what_is_wrong(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    for (asked, field) in [
        (json!({"start": "2087-03-08T02:30", "timezone": "Atlantis"}), "timezone"),
        (json!({"start": "2087-03-08T02:30"}), "timezone"),
        (json!({"start": "never", "timezone": "UTC"}), "start"),
        (json!({"start": "2020-03-08T02:30", "timezone": "UTC"}), "start"),
        (json!({"start": "2087-03-08T02:30", "timezone": "UTC", "rrule": "FREQ=SECONDLY"}), "rrule"),
        (json!({"start": "2087-03-08T02:30", "timezone": "UTC", "rrule": "FREQ=DAILY;UNTIL=20870101"}), "rrule"),
        (json!({"start": "2087-03-08T02:30", "timezone": "UTC", "count": 0}), "count"),
        (json!({"start": "2087-03-08T02:30", "timezone": "UTC", "count": 51}), "count"),
        (json!({"start": "2087-03-08T02:30", "timezone": "UTC", "name": "x"}), "name"),
    ] {
        let answer = tenant.post("/v1/reminders/preview", asked.clone()).await;
        assert_eq!(answer.expect(422).fields(), [field], "{asked}");
    }
    api.anonymous().post("/v1/reminders/preview", json!({})).await.expect(401);
}
