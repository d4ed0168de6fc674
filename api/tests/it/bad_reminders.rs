//! What is wrong with a reminder is refused alike when it is created, replaced and previewed: a problem that names the field.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::test_api::TestApi;

fn with(wish: &Value, changes: &Value) -> Value {
    let mut wish = wish.clone();
    for (field, value) in changes.as_object().unwrap() {
        wish[field] = value.clone();
    }
    wish
}

fn far_exdate(exdate: &str, zone: &str) -> Value {
    json!({"rrule": "FREQ=DAILY", "exdates": [exdate], "timezone": zone})
}

fn rule(rrule: &str) -> Value {
    json!({"rrule": rrule})
}

/// R40, R41, R43: schedules that never fire, can't be read, or began too long ago.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_bad_schedule_is_named_wherever_it_is_given(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let schedule = json!({"start": "2190-01-04T09:00", "timezone": "Europe/Berlin"});
    let rest = json!({"account_id": tenant.account("Sales").await, "name": "Stand-up", "messages": ["one"],
        "targets": ["120363041234567890@g.us"]});
    let id = tenant.post("/v1/reminders", with(&schedule, &rest)).await.expect(201).id();
    let path = format!("/v1/reminders/{id}");
    let before = tenant.get(&path).await.expect(200).json();
    let ago = |seconds| (process::clock::now() - chrono::Duration::seconds(seconds)).to_rfc3339();
    for (changes, field) in [
        // unknown zones
        (json!({"timezone": "Europe/Atlantis"}), "timezone"),
        (json!({"timezone": "W. Europe Standard Time"}), "timezone"),
        (json!({"timezone": "+01:00"}), "timezone"),
        (json!({"timezone": ""}), "timezone"),
        (json!({"timezone": null}), "timezone"),
        // days that no year has
        (rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
        (rule("FREQ=MONTHLY;BYMONTH=4,6;BYMONTHDAY=31"), "rrule"),
        (json!({"start": "2190-02-30T09:00"}), "start"),
        (json!({"recurrence": {"kind": "monthly", "month_day": 32}}), "recurrence.month_day"),
        (json!({"recurrence": {"kind": "daily", "end": {"until": "2190-02-30"}}}), "recurrence.end.until"),
        // rules without an occurrence
        (rule("FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20"), "rrule"),
        (rule("FREQ=DAILY;INTERVAL=7;BYDAY=TU"), "rrule"),
        (rule("FREQ=YEARLY;BYMONTH=1;BYYEARDAY=300"), "rrule"),
        (rule("FREQ=YEARLY;BYMONTH=1;BYDAY=MO;BYSETPOS=366"), "rrule"),
        (rule("FREQ=MINUTELY;INTERVAL=10;BYMINUTE=7"), "rrule"),
        (json!({"recurrence": {"kind": "daily", "end": {"after": 1}}, "exdates": ["2190-01-04"]}), "exdates"),
        // an end before the start, in each spelling
        (rule("FREQ=DAILY;UNTIL=21900103"), "rrule"),
        (rule("FREQ=DAILY;UNTIL=21900104T085959"), "rrule"),
        (rule("FREQ=DAILY;UNTIL=21900104T075959Z"), "rrule"),
        (json!({"recurrence": {"kind": "daily", "end": {"until": "2190-01-03"}}}), "recurrence.end"),
        // counts
        (rule("FREQ=DAILY;COUNT=0"), "rrule"),
        (rule("FREQ=DAILY;COUNT=-1"), "rrule"),
        (rule("FREQ=DAILY;COUNT=10001"), "rrule"),
        (json!({"recurrence": {"kind": "daily", "end": {"after": 0}}}), "recurrence.end"),
        (json!({"recurrence": {"kind": "daily", "end": {"after": 10_001}}}), "recurrence.end"),
        // a start in the past beyond the grace
        (json!({"start": "2020-01-01T09:00"}), "start"),
        (json!({"start": ago(62)}), "start"),
        (json!({"start": "1900-01-01T09:00"}), "start"),
        // years that no clock can be read in
        (json!({"start": "+262142-12-31T23:59", "timezone": "America/New_York"}), "start"),
        (json!({"start": "-262143-01-01T00:00", "timezone": "Asia/Tokyo"}), "start"),
        (json!({"start": "+262142-12-31T23:59:59Z", "timezone": "Asia/Tokyo"}), "start"),
        (far_exdate("+262142-12-31T23:59", "America/New_York"), "exdates"),
        (far_exdate("-262143-01-01T00:00", "Asia/Tokyo"), "exdates"),
        (far_exdate("+262142-12-31", "UTC"), "exdates"),
        (json!({"recurrence": {"kind": "daily", "end": {"until": "+262142-12-31"}}}), "recurrence.end"),
        // what no text of a database holds
        (json!({"timezone": "Europe/Berlin\u{0}"}), "timezone"),
        (rule("FREQ=DAILY\u{0}"), "rrule"),
        (json!({"rrule": "FREQ=DAILY", "exdates": ["2190-02-01\u{0}"]}), "exdates"),
        (json!({"start": "2190-01-04T09:00\u{0}"}), "start"),
        // too often, too much, or two at once
        (rule("FREQ=MINUTELY;INTERVAL=4"), "rrule"),
        (rule("FREQ=HOURLY;BYMINUTE=0,2"), "rrule"),
        (rule("FREQ=SECONDLY"), "rrule"),
        (rule("FREQ=NEVER"), "rrule"),
        (json!({"rrule": "FREQ=WEEKLY", "recurrence": {"kind": "daily"}}), "rrule"),
        (json!({"recurrence": {"kind": "fortnightly"}}), "recurrence.kind"),
        (json!({"recurrence": {"kind": "daily", "weekdays": ["mon"]}}), "recurrence.weekdays"),
        (json!({"rrule": "FREQ=DAILY", "exdates": vec!["2190-02-01"; 501]}), "exdates"),
        (json!({"rrule": "FREQ=DAILY", "exdates": ["1.2.2190"]}), "exdates"),
        (json!({"exdates": ["2190-02-01"]}), "exdates"),
        (json!({"on_gap": "jump"}), "on_gap"),
        (json!({"window_end": 9}), "window_end"),
        (json!({"window_end": 25}), "window_end"),
        (json!({"window_end": "18:60"}), "window_end"),
        (json!({"window_end": [18]}), "window_end"),
        (json!({"window_start": "10", "window_end": 18}), "window_start"),
        (json!({"window_start": "09:01", "window_end": 18}), "window_start"),
        (json!({"window_start": 8}), "window_start"),
        (json!({"recurrence": {"kind": "daily", "times": ["9"]}}), "recurrence.times"),
        (json!({"recurrence": {"kind": "daily", "times": ["09:00", "09:03"]}}), "recurrence.times"),
        (rule("RRULE:FREQ=DAILY\nEXDATE:21900105T090000"), "rrule"),
        (rule("DTSTART;TZID=Europe/Paris:21900104T090000\nRRULE:FREQ=DAILY"), "rrule"),
    ] {
        let previewed = tenant.post("/v1/reminders/preview", with(&schedule, &changes)).await.expect(422);
        let whole = with(&with(&schedule, &rest), &changes);
        let created = tenant.post("/v1/reminders", whole.clone()).await.expect(422);
        let replaced = tenant.put(&path, whole).await.expect(422);
        assert_eq!(previewed.fields(), [field], "preview of {changes}");
        assert_eq!(created.json()["errors"], replaced.json()["errors"], "{changes}");
        assert_eq!(created.fields(), [field], "{changes}");
        assert!(!created.json()["errors"][0]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(tenant.get(&path).await.expect(200).json(), before, "nothing of it was kept");
    assert_eq!(api.count("SELECT count(*) FROM reminders").await, 1);
    // one that repeats may have begun long ago (R88)
    for changes in [
        json!({"start": ago(62), "rrule": "FREQ=MINUTELY;INTERVAL=5"}),
        json!({"start": "2020-01-01T09:00", "recurrence": {"kind": "yearly"}}),
    ] {
        let whole = with(&with(&schedule, &rest), &changes);
        let previewed = tenant.post("/v1/reminders/preview", with(&schedule, &changes)).await.expect(200).json();
        let created = tenant.post("/v1/reminders", whole.clone()).await.expect(201).json();
        let replaced = tenant.put(&path, whole).await.expect(200).json();
        assert_eq!(previewed["occurrences"][0]["at"], created["next_fire_at"], "{changes}");
        assert_eq!(created["next_fire_at"], replaced["next_fire_at"], "{changes}");
    }
}

/// R13, R40: as many targets as no reminder may have, names that can't be shown or stored, and an account of somebody else.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn bad_targets_names_and_accounts_are_named(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, other) = (api.tenant().await, api.tenant().await);
    let wish = json!({"start": "2190-01-04T09:00", "timezone": "Europe/Berlin", "account_id": tenant.account("Sales").await,
        "name": "Stand-up", "messages": ["one"], "targets": ["120363041234567890@g.us"]});
    let path = format!("/v1/reminders/{}", tenant.post("/v1/reminders", wish.clone()).await.expect(201).id());
    let before = tenant.get(&path).await.expect(200).json();
    let many: Vec<String> = (0..10_000_u64).map(|n| format!("{}@g.us", 120_363_041_234_560_000 + n)).collect();
    for (changes, status, field) in [
        (json!({"targets": many}), 422, "targets"),
        (json!({"targets": []}), 422, "targets"),
        (json!({"targets": ["120363041234567890@g.us", "120363041234567890@g.us"]}), 422, "targets[1]"),
        (json!({"targets": ["120363041234567890@g.us\u{0}"]}), 422, "targets[0]"),
        (json!({"messages": ["one\u{0}"]}), 422, "messages[0]"),
        (json!({"name": "Stand\u{0}up"}), 422, "name"),
        (json!({"name": "Stand\u{1b}up"}), 422, "name"),
        (json!({"name": "é".repeat(201)}), 422, "name"),
        (json!({"account_id": other.account("Theirs").await}), 404, "account_id"),
        (json!({"account_id": "0199c0de-0000-7000-8000-000000000000"}), 404, "account_id"),
        (json!({"account_id": 7}), 422, "account_id"),
    ] {
        let wish = with(&wish, &changes);
        assert_eq!(tenant.post("/v1/reminders", wish.clone()).await.expect(status).fields(), [field]);
        assert_eq!(tenant.put(&path, wish).await.expect(status).fields(), [field]);
    }
    assert_eq!(tenant.get(&path).await.expect(200).json(), before, "nothing of it was kept");
    assert_eq!(api.count("SELECT count(*) FROM reminders").await, 1);
}

/// What is shown again of a wrong field is no longer than a person reads.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_long_zone_is_not_echoed(db: PgPool) {
    let api = TestApi::start(db).await;
    let tenant = api.tenant().await;
    let asked = json!({"start": "2190-01-04T09:00", "timezone": "x".repeat(200_000)});
    let refused = tenant.post("/v1/reminders/preview", asked).await.expect(422);
    assert_eq!(refused.fields(), ["timezone"]);
    assert!(refused.bytes.len() < 1_000, "{} bytes", refused.bytes.len());
}
