//! R85: the zone data in force is today's, and every zone's clocks are read as `jiff` reads them.

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeZone as _, Timelike as _, Utc};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use schedule::wall_clock::instant_of;
use schedule::zone::{self, Local, Source, Tz};

use super::{local, occurrences, schedule, shown, utc, zone};

/// What the law says since 2026, by the tzdata package of Python (2026f), zone by zone: nine o'clock in December.
#[test]
fn the_zone_data_is_todays() {
    assert!(zone::data_version() >= "2026f", "{}", zone::data_version());
    assert_eq!(zone::data().source(), Source::BuiltIn, "no test depends on the machine's");
    for (name, nine) in [
        ("Africa/Casablanca", "09:00"),
        ("America/Vancouver", "16:00"),
        ("America/Edmonton", "15:00"),
        ("America/Winnipeg", "14:00"),
        ("America/Havana", "13:00"),
        ("Europe/Berlin", "08:00"),
        ("Asia/Kolkata", "03:30"),
    ] {
        let at = instant_of(local("2026-12-15 09:00"), zone(name));
        assert_eq!(at.format("%H:%M").to_string(), nine, "{name}");
        assert_eq!(at.with_timezone(&zone(name)).format("%H:%M").to_string(), "09:00");
    }
    let berlin = instant_of(local("2026-07-15 09:00"), zone("Europe/Berlin")).with_timezone(&zone("Europe/Berlin"));
    assert_eq!(berlin.format("%Y-%m-%d %H:%M %Z %z").to_string(), "2026-07-15 09:00 CEST +0200");
}

/// Summer time goes on after 2100, as the law says: by the rule of the zone, not to the end of a table.
#[test]
fn summer_time_has_no_end() {
    for (tz, rrule, after, expected) in [
        ("Europe/Berlin", "FREQ=DAILY", "2120-07-01 00:00", "2120-07-01 07:00"),
        ("Europe/Berlin", "FREQ=DAILY", "2120-12-01 00:00", "2120-12-01 08:00"),
        ("Europe/Berlin", "FREQ=HOURLY;BYHOUR=9", "2150-07-01 00:00", "2150-07-01 07:00"),
        ("America/New_York", "FREQ=WEEKLY;BYDAY=MO", "2199-07-05 00:00", "2199-07-08 13:00"),
        ("Australia/Sydney", "FREQ=DAILY", "2150-01-01 00:00", "2150-01-01 22:00"),
    ] {
        let found = occurrences(&schedule("2026-01-05 09:00", tz, rrule), utc(after), 1);
        assert_eq!(shown(&found), [expected], "{rrule} in {tz}");
    }
    // the hour that is there twice, and the one that is not
    let (autumn, spring) = (local("2137-10-27 02:30"), local("2137-03-31 02:30"));
    assert!(matches!(zone("Europe/Berlin").local(autumn), Local::Twice(..)));
    assert_eq!(zone("Europe/Berlin").local(spring), Local::Skipped(utc("2137-03-31 01:30")));
}

/// Zones go by all their names, the old ones as well: no stored reminder loses its clocks.
#[test]
fn no_zone_is_lost() {
    let names = zone::data().names();
    assert!(names.len() > 590, "{}", names.len());
    for old in ["Asia/Calcutta", "US/Eastern", "EST5EDT", "Etc/GMT+12", "GMT0", "W-SU", "Europe/Kiev", "UTC", "Zulu"] {
        assert!(names.contains(&old.to_owned()), "{old}");
    }
    for name in &names {
        assert_eq!(name.parse::<Tz>().unwrap().to_string(), *name);
    }
    for unknown in ["", "Europe/berlin", "Atlantis/Capital", "Europe/Berlin ", "../../etc/passwd", "posix/UTC"] {
        assert!(unknown.parse::<Tz>().is_err(), "{unknown}");
    }
}

fn civil(local: NaiveDateTime) -> jiff::civil::DateTime {
    let number = |value: u32| i8::try_from(value).unwrap();
    jiff::civil::date(i16::try_from(local.year()).unwrap(), number(local.month()), number(local.day())).at(
        number(local.hour()),
        number(local.minute()),
        number(local.second()),
        0,
    )
}

/// A zone, both ways of reading it, and a minute between 1970 and 2199, half of them close to a change of clocks.
fn minutes() -> impl Strategy<Value = (String, i64)> {
    let names = zone::data().names();
    (proptest::sample::select(names), 0..120_960_000_i64, -4_000..4_000_i64, any::<bool>()).prop_map(
        |(name, minute, about, near)| {
            let clocks = clocks(&name);
            let at = Timestamp::from_second(minute * 60).unwrap();
            let change = clocks.following(at).next().filter(|_| near).map(|change| change.timestamp().as_second() / 60);
            (name, change.map_or(minute, |change| (change + about).clamp(0, 120_960_000)))
        },
    )
}

fn clocks(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// From the wall to instants and back.
    #[test]
    fn every_clock_is_read_as_jiff_reads_it((name, minute) in minutes()) {
        let (tz, clocks) = (zone(&name), clocks(&name));
        let at: DateTime<Utc> = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let shown = at.with_timezone(&tz);
        let theirs = Timestamp::from_second(minute * 60).unwrap();
        prop_assert_eq!(civil(shown.naive_local()), clocks.to_datetime(theirs));
        let info = clocks.to_offset_info(theirs);
        prop_assert_eq!(shown.format("%Z").to_string(), info.abbreviation());
        // as a wall-clock time: what it means, and what chrono makes of it
        let local = at.naive_utc();
        let meant = clocks.to_ambiguous_timestamp(civil(local));
        let second = |at: DateTime<Utc>| at.timestamp();
        let (earlier, later) = (meant.earlier().unwrap().as_second(), meant.later().unwrap().as_second());
        match tz.local(local) {
            Local::Once(at) => prop_assert!(!meant.is_ambiguous() && second(at) == earlier),
            Local::Twice(first, last) => prop_assert!((second(first), second(last)) == (earlier, later) && earlier < later),
            Local::Skipped(at) => {
                prop_assert!(second(at) == later && earlier < later);
                prop_assert!(tz.from_local_datetime(&local).earliest().is_none());
            }
        }
        prop_assert_eq!(second(instant_of(local, tz)), meant.compatible().unwrap().as_second());
        if let Some(first) = tz.from_local_datetime(&local).earliest() {
            prop_assert_eq!(first.naive_local(), local);
            prop_assert_eq!(first.timestamp(), earlier);
        }
    }
}
