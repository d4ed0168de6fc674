//! R40, R41: what happens where clocks change, checked by hand against the rules of the zones.

use schedule::OnGap::{self, Shift, Skip};
use schedule::wall_clock::SPAN;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

use super::{occurrences, schedule_with, shown, utc};

/// Start on the wall, rule, what becomes of gaps, after (UTC), the next (UTC).
type Row<'a> = (&'a str, &'a str, OnGap, &'a str, &'a [&'a str]);

fn check(tz: &str, rows: &[Row<'_>]) {
    for (start, rrule, on_gap, after, expected) in rows {
        let schedule = schedule_with(start, tz, rrule, &[], *on_gap);
        let found = occurrences(&schedule, utc(after), expected.len());
        assert_eq!(shown(&found), *expected, "{rrule} from {start} in {tz}, {on_gap:?}");
    }
}

/// Forward on 2026-03-08 at 02:00 to 03:00 (07:00 UTC), back on 2026-11-01 at 02:00 to 01:00 (06:00 UTC).
#[test]
fn america_new_york() {
    check(
        "America/New_York",
        &[
            ("2026-03-07 02:30", "FREQ=DAILY", Shift, "2026-03-07 12:00", &["2026-03-08 07:30", "2026-03-09 06:30"]),
            ("2026-03-07 02:30", "FREQ=DAILY", Skip, "2026-03-07 12:00", &["2026-03-09 06:30", "2026-03-10 06:30"]),
            ("2026-10-30 01:30", "FREQ=DAILY", Shift, "2026-10-31 12:00", &["2026-11-01 05:30", "2026-11-02 06:30"]),
            ("2026-10-30 01:30", "FREQ=DAILY", Skip, "2026-10-31 12:00", &["2026-11-01 05:30", "2026-11-02 06:30"]),
            // each real hour once: 00:30, 01:30, 03:30, 04:30
            (
                "2026-03-08 00:30",
                "FREQ=HOURLY",
                Shift,
                "2026-03-08 05:00",
                &["2026-03-08 05:30", "2026-03-08 06:30", "2026-03-08 07:30", "2026-03-08 08:30"],
            ),
            // 00:30, 01:30, 01:30 again, 02:30
            (
                "2026-11-01 00:30",
                "FREQ=HOURLY",
                Shift,
                "2026-11-01 04:00",
                &["2026-11-01 04:30", "2026-11-01 05:30", "2026-11-01 06:30", "2026-11-01 07:30"],
            ),
            (
                "2026-10-31 00:00",
                "FREQ=MINUTELY;INTERVAL=30",
                Shift,
                "2026-11-01 04:45",
                &["2026-11-01 05:00", "2026-11-01 05:30", "2026-11-01 06:00", "2026-11-01 06:30", "2026-11-01 07:00"],
            ),
            // the hour on the wall chooses: one o'clock comes twice, two o'clock not at all
            (
                "2026-10-31 01:30",
                "FREQ=HOURLY;BYHOUR=1",
                Shift,
                "2026-10-31 06:00",
                &["2026-11-01 05:30", "2026-11-01 06:30", "2026-11-02 06:30"],
            ),
            ("2026-03-07 02:30", "FREQ=HOURLY;BYHOUR=2", Shift, "2026-03-07 12:00", &["2026-03-09 06:30"]),
            (
                "2026-03-07 02:00",
                "FREQ=MINUTELY;INTERVAL=30;BYHOUR=1,3",
                Shift,
                "2026-03-08 06:00",
                &["2026-03-08 06:30", "2026-03-08 07:00", "2026-03-08 07:30", "2026-03-09 05:00"],
            ),
            // hours on the wall that meet behind the gap fire once
            (
                "2026-03-07 02:30",
                "FREQ=DAILY;BYHOUR=1,2,3",
                Shift,
                "2026-03-08 05:00",
                &["2026-03-08 06:30", "2026-03-08 07:30", "2026-03-09 05:30"],
            ),
            (
                "2026-03-07 02:30",
                "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30",
                Shift,
                "2026-03-08 05:00",
                &["2026-03-08 07:00", "2026-03-08 07:30", "2026-03-09 06:00"],
            ),
            // what clocks shift counts; a start in the gap, or one that exists twice, is no error
            (
                "2026-03-07 02:30",
                "FREQ=DAILY;COUNT=3",
                Shift,
                "2026-03-07 12:00",
                &["2026-03-08 07:30", "2026-03-09 06:30"],
            ),
            ("2026-03-08 02:30", "FREQ=WEEKLY", Shift, "2026-03-01 00:00", &["2026-03-08 07:30", "2026-03-15 06:30"]),
            ("2026-11-01 01:30", "FREQ=WEEKLY", Shift, "2026-10-20 00:00", &["2026-11-01 05:30", "2026-11-08 06:30"]),
            // an interval in hours is one of real hours
            (
                "2026-03-07 09:00",
                "FREQ=HOURLY;INTERVAL=24",
                Shift,
                "2026-03-07 00:00",
                &["2026-03-07 14:00", "2026-03-08 14:00"],
            ),
            // the end is a time on the wall, and the later one where there are two
            (
                "2026-11-01 00:30",
                "FREQ=HOURLY;UNTIL=20261101T014500",
                Shift,
                "2026-11-01 00:00",
                &["2026-11-01 04:30", "2026-11-01 05:30", "2026-11-01 06:30"],
            ),
        ],
    );
}

/// History: forward on 2018-11-04 at midnight (03:00 UTC), back on 2019-02-17 at midnight to 23:00 (02:00 UTC), never again.
#[test]
fn america_sao_paulo() {
    check(
        "America/Sao_Paulo",
        &[
            ("2018-11-01 00:00", "FREQ=DAILY", Shift, "2018-11-03 12:00", &["2018-11-04 03:00", "2018-11-05 02:00"]),
            ("2018-11-01 00:00", "FREQ=DAILY", Skip, "2018-11-03 12:00", &["2018-11-05 02:00"]),
            ("2019-02-10 23:30", "FREQ=DAILY", Shift, "2019-02-16 12:00", &["2019-02-17 01:30", "2019-02-18 02:30"]),
            (
                "2019-02-16 22:30",
                "FREQ=HOURLY",
                Shift,
                "2019-02-17 00:00",
                &["2019-02-17 00:30", "2019-02-17 01:30", "2019-02-17 02:30", "2019-02-17 03:30"],
            ),
            // days chosen on the wall: Saturday's last hour comes twice
            (
                "2019-02-16 22:30",
                "FREQ=HOURLY;BYDAY=SA",
                Shift,
                "2019-02-17 00:00",
                &["2019-02-17 00:30", "2019-02-17 01:30", "2019-02-17 02:30", "2019-02-23 03:30"],
            ),
            ("2018-11-01 00:00", "FREQ=DAILY", Shift, "2026-11-03 12:00", &["2026-11-04 03:00", "2026-11-05 03:00"]),
        ],
    );
}

/// Midnight does not exist on 2026-09-06 (04:00 UTC), and the hour before it comes twice on 2026-04-04.
#[test]
fn america_santiago() {
    check(
        "America/Santiago",
        &[
            ("2026-09-01 00:00", "FREQ=DAILY", Shift, "2026-09-05 12:00", &["2026-09-06 04:00", "2026-09-07 03:00"]),
            ("2026-09-01 00:00", "FREQ=DAILY", Skip, "2026-09-05 12:00", &["2026-09-07 03:00"]),
            (
                "2026-09-01 00:00",
                "FREQ=WEEKLY;BYDAY=SU",
                Shift,
                "2026-09-05 12:00",
                &["2026-09-06 04:00", "2026-09-13 03:00"],
            ),
            // the day begins at one o'clock for hours, too
            (
                "2026-09-01 00:30",
                "FREQ=HOURLY;BYDAY=SU",
                Shift,
                "2026-09-05 12:00",
                &["2026-09-06 04:30", "2026-09-06 05:30"],
            ),
            ("2026-04-01 23:30", "FREQ=DAILY", Shift, "2026-04-04 12:00", &["2026-04-05 02:30", "2026-04-06 03:30"]),
        ],
    );
}

/// Forward on 2026-03-29 at 01:00 UTC, back on 2026-10-25 at 01:00 UTC.
#[test]
fn europe_london() {
    check(
        "Europe/London",
        &[
            ("2026-03-01 01:30", "FREQ=DAILY", Shift, "2026-03-28 12:00", &["2026-03-29 01:30", "2026-03-30 00:30"]),
            ("2026-03-01 01:30", "FREQ=DAILY", Skip, "2026-03-28 12:00", &["2026-03-30 00:30"]),
            ("2026-10-01 01:30", "FREQ=DAILY", Shift, "2026-10-24 12:00", &["2026-10-25 00:30", "2026-10-26 01:30"]),
            ("2026-01-01 09:00", "FREQ=MONTHLY", Shift, "2026-02-15 00:00", &["2026-03-01 09:00", "2026-04-01 08:00"]),
            (
                "2026-01-04 01:00",
                "FREQ=MONTHLY;BYDAY=-1SU",
                Shift,
                "2026-03-01 00:00",
                &["2026-03-29 01:00", "2026-04-26 00:00"],
            ),
        ],
    );
}

/// No change today; half an hour forward on the last evening of 1981, at 23:30 (16:00 UTC).
#[test]
fn asia_kuala_lumpur() {
    check(
        "Asia/Kuala_Lumpur",
        &[
            ("2026-01-01 09:00", "FREQ=DAILY", Shift, "2026-03-28 12:00", &["2026-03-29 01:00", "2026-03-30 01:00"]),
            ("1981-12-01 23:45", "FREQ=DAILY", Shift, "1981-12-31 00:00", &["1981-12-31 16:15", "1982-01-01 15:45"]),
            ("1981-12-01 23:45", "FREQ=DAILY", Skip, "1981-12-31 00:00", &["1982-01-01 15:45"]),
        ],
    );
}

/// Half an hour: forward on 2026-10-04 at 02:00 to 02:30 (15:30 UTC on the 3rd), back on 2026-04-05 at 02:00 to 01:30 (15:00
/// UTC on the 4th).
#[test]
fn australia_lord_howe() {
    check(
        "Australia/Lord_Howe",
        &[
            ("2026-10-01 02:15", "FREQ=DAILY", Shift, "2026-10-03 00:00", &["2026-10-03 15:45", "2026-10-04 15:15"]),
            ("2026-10-01 02:15", "FREQ=DAILY", Skip, "2026-10-03 00:00", &["2026-10-04 15:15"]),
            ("2026-04-01 01:45", "FREQ=DAILY", Shift, "2026-04-04 00:00", &["2026-04-04 14:45", "2026-04-05 15:15"]),
            // 02:15 is shifted behind 02:40, which exists: both fire, in the order of instants
            (
                "2026-10-01 02:15",
                "FREQ=DAILY;BYMINUTE=15,40",
                Shift,
                "2026-10-03 00:00",
                &["2026-10-03 15:40", "2026-10-03 15:45", "2026-10-04 15:15", "2026-10-04 15:40"],
            ),
            // 00:00, 01:00, 02:30, 03:30
            (
                "2026-10-04 00:00",
                "FREQ=HOURLY",
                Shift,
                "2026-10-03 13:00",
                &["2026-10-03 13:30", "2026-10-03 14:30", "2026-10-03 15:30", "2026-10-03 16:30"],
            ),
            // minutes are those on the wall: 00:00, 01:00, 03:00
            (
                "2026-10-04 00:00",
                "FREQ=HOURLY;BYMINUTE=0",
                Shift,
                "2026-10-03 13:00",
                &["2026-10-03 13:30", "2026-10-03 14:30", "2026-10-03 16:00", "2026-10-03 17:00"],
            ),
            // 00:45, 01:45, 01:45 again, 02:45
            (
                "2026-04-05 00:45",
                "FREQ=HOURLY;BYMINUTE=45",
                Shift,
                "2026-04-04 13:00",
                &["2026-04-04 13:45", "2026-04-04 14:45", "2026-04-04 15:15", "2026-04-04 16:15"],
            ),
        ],
    );
}

/// Back for the month of fasting on 2026-02-15 at 03:00 to 02:00 (02:00 UTC), forward on 2026-03-22 at 02:00 (02:00 UTC).
#[test]
fn africa_casablanca() {
    check(
        "Africa/Casablanca",
        &[
            ("2026-02-01 02:30", "FREQ=DAILY", Shift, "2026-02-14 12:00", &["2026-02-15 01:30", "2026-02-16 02:30"]),
            ("2026-02-01 02:30", "FREQ=DAILY", Shift, "2026-03-21 12:00", &["2026-03-22 02:30", "2026-03-23 01:30"]),
            ("2026-02-01 02:30", "FREQ=DAILY", Skip, "2026-03-21 12:00", &["2026-03-23 01:30"]),
            ("2026-02-01 09:00", "FREQ=WEEKLY", Shift, "2026-02-09 00:00", &["2026-02-15 09:00", "2026-02-22 09:00"]),
        ],
    );
}

/// Samoa skipped all of Friday 2011-12-30: from 24:00 on Thursday (10:00 UTC) it was Saturday.
#[test]
fn pacific_apia() {
    check(
        "Pacific/Apia",
        &[
            // that day's occurrence and the next day's are the same instant, fired once
            (
                "2011-12-28 09:00",
                "FREQ=DAILY",
                Shift,
                "2011-12-29 00:00",
                &["2011-12-29 19:00", "2011-12-30 19:00", "2011-12-31 19:00"],
            ),
            ("2011-12-23 09:00", "FREQ=WEEKLY", Shift, "2011-12-29 00:00", &["2011-12-30 19:00", "2012-01-05 19:00"]),
            ("2011-12-23 09:00", "FREQ=WEEKLY", Skip, "2011-12-29 00:00", &["2012-01-05 19:00"]),
            (
                "2011-12-29 21:00",
                "FREQ=HOURLY;INTERVAL=2",
                Shift,
                "2011-12-30 06:00",
                &["2011-12-30 07:00", "2011-12-30 09:00", "2011-12-30 11:00"],
            ),
        ],
    );
}

/// No change, and half an hour beside the full hours of UTC.
#[test]
fn asia_kolkata() {
    check(
        "Asia/Kolkata",
        &[
            ("2026-01-01 09:00", "FREQ=DAILY", Shift, "2026-03-28 12:00", &["2026-03-29 03:30", "2026-03-30 03:30"]),
            (
                "2026-01-01 09:10",
                "FREQ=HOURLY;BYMINUTE=0,45",
                Shift,
                "2026-01-01 00:00",
                &["2026-01-01 04:15", "2026-01-01 04:30", "2026-01-01 05:15"],
            ),
            (
                "2026-01-01 09:00",
                "FREQ=HOURLY;BYHOUR=9,17",
                Shift,
                "2026-01-01 04:00",
                &["2026-01-01 11:30", "2026-01-02 03:30"],
            ),
        ],
    );
}

/// What the expansion takes for granted: within a span, no zone's clocks change and change back.
#[test]
fn no_zone_changes_its_clocks_back_within_a_span() {
    let zones = TimeZoneDatabase::bundled();
    let mut changes = 0;
    for name in zones.available() {
        let zone = zones.get(name.as_str()).unwrap();
        let mut last: Option<(i64, i32)> = None;
        let mut offset = zone.to_offset(Timestamp::UNIX_EPOCH).seconds();
        let until = Timestamp::from_second(7_258_118_400).unwrap(); // 2200
        for change in zone.following(Timestamp::UNIX_EPOCH).take_while(|change| change.timestamp() < until) {
            let (at, now) = (change.timestamp().as_second(), change.offset().seconds());
            if now != offset {
                let back =
                    last.replace((at, offset)).is_some_and(|(changed, from)| from == now && at - changed <= SPAN);
                assert!(!back, "{} at {at}", name.as_str());
                offset = now;
                changes += 1;
            }
        }
    }
    assert!(changes > 50_000, "only {changes} changes");
}
