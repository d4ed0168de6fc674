//! R41, R86: what does not fire, since clocks skip it or an exception names it: how it is counted and told.

use chrono::Duration;
use schedule::OnGap::{Shift, Skip};
use schedule::occurrence::Clocks;

use super::{local, occurrences, schedule, schedule_with, shown, utc, zone};

/// R86: what `skip` leaves out is not counted (RFC 5545, section 3.3.10), also at the start, and however often it comes.
#[test]
fn what_is_skipped_is_not_counted() {
    for (start, tz, rrule, expected) in [
        (
            "2026-03-07 02:30",
            "America/New_York",
            "FREQ=DAILY;COUNT=3",
            vec!["2026-03-07 07:30", "2026-03-09 06:30", "2026-03-10 06:30"],
        ),
        ("2026-03-08 02:30", "America/New_York", "FREQ=DAILY;COUNT=2", vec!["2026-03-09 06:30", "2026-03-10 06:30"]),
        (
            "2026-03-07 01:30",
            "America/New_York",
            "FREQ=DAILY;BYHOUR=1,2;COUNT=4",
            vec!["2026-03-07 06:30", "2026-03-07 07:30", "2026-03-08 06:30", "2026-03-09 05:30"],
        ),
        ("2026-03-08 02:30", "America/New_York", "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU;COUNT=1", vec![]),
        ("2026-03-07 02:30", "UTC", "FREQ=DAILY;COUNT=2", vec!["2026-03-07 02:30", "2026-03-08 02:30"]),
    ] {
        let schedule = schedule_with(start, tz, rrule, &[], Skip);
        let found = schedule.following(utc("2026-03-01 00:00"), 9).map(|found| found.occurrences).unwrap_or_default();
        assert_eq!(shown(&found.iter().map(|one| one.at).collect::<Vec<_>>()), expected, "{rrule} from {start}");
    }
}

/// R86: what is told to be skipped lies before the last occurrence that is told.
#[test]
fn what_is_skipped_lies_among_what_is_told() {
    let skipping = schedule_with("2026-03-06 02:30", "America/New_York", "FREQ=DAILY", &[], Skip);
    let now = utc("2026-03-01 00:00");
    for (want, skipped) in [(1, vec![]), (2, vec![]), (3, vec!["2026-03-08 02:30"]), (4, vec!["2026-03-08 02:30"])] {
        let told = skipping.first(now, want).unwrap();
        assert_eq!(told.occurrences.len(), want);
        assert_eq!(told.skipped, skipped.iter().map(|at| local(at)).collect::<Vec<_>>(), "of {want}");
    }
}

/// What clocks did is told.
#[test]
fn what_clocks_did_is_told() {
    let spring = schedule("2026-03-07 02:30", "America/New_York", "FREQ=DAILY");
    let told = spring.following(utc("2026-03-07 12:00"), 2).unwrap().occurrences;
    assert_eq!((told[0].clocks, told[0].nominal), (Some(Clocks::Shifted), local("2026-03-08 02:30")));
    assert_eq!((told[1].clocks, told[1].nominal), (None, local("2026-03-09 02:30")));
    let skipping = schedule_with("2026-03-07 02:30", "America/New_York", "FREQ=DAILY", &[], Skip);
    assert_eq!(skipping.following(utc("2026-03-07 12:00"), 2).unwrap().skipped, [local("2026-03-08 02:30")]);
    assert_eq!(skipping.following(utc("2026-03-08 12:00"), 2).unwrap().skipped, []);
    let autumn = schedule("2026-11-01 00:30", "America/New_York", "FREQ=HOURLY;COUNT=4");
    let told: Vec<_> =
        autumn.following(utc("2026-10-01 00:00"), 9).unwrap().occurrences.iter().map(|one| one.clocks).collect();
    assert_eq!(told, [None, Some(Clocks::FirstOfTwo), Some(Clocks::SecondOfTwo), None]);
}

/// R41: exceptions name a time of the rule, the time that clocks show instead, or a whole day.
#[test]
fn exceptions_are_left_out() {
    for (exdates, expected) in [
        (vec![], "2026-03-08 07:30"),
        (vec!["2026-03-08T02:30"], "2026-03-09 06:30"),
        (vec!["2026-03-08T03:30:00"], "2026-03-09 06:30"),
        (vec!["2026-03-08T03:30:00-04:00"], "2026-03-09 06:30"),
        (vec!["2026-03-08", "2026-03-09"], "2026-03-10 06:30"),
        (vec!["2026-03-08T02:31", "2026-03-08T06:30"], "2026-03-08 07:30"),
    ] {
        let schedule = schedule_with("2026-03-07 02:30", "America/New_York", "FREQ=DAILY", &exdates, Shift);
        assert_eq!(shown(&occurrences(&schedule, utc("2026-03-07 12:00"), 1)), [expected], "{exdates:?}");
    }
    // what is left out was counted
    let counted = schedule_with("2026-06-01 09:00", "UTC", "FREQ=DAILY;COUNT=3", &["2026-06-02"], Shift);
    assert_eq!(shown(&occurrences(&counted, utc("2026-05-01 00:00"), 9)), ["2026-06-01 09:00", "2026-06-03 09:00"]);
    let hourly = schedule_with("2026-06-01 22:00", "Asia/Tokyo", "FREQ=HOURLY", &["2026-06-02"], Shift);
    let found = occurrences(&hourly, utc("2026-06-01 13:00"), 2);
    assert_eq!(shown(&found), ["2026-06-01 14:00", "2026-06-02 15:00"]);
    assert_eq!(found[1] - found[0], Duration::hours(25));
    assert_eq!(found[1].with_timezone(&zone("Asia/Tokyo")).naive_local(), local("2026-06-03 00:00"));
}
