//! R43, R44, R46: when a reminder fires that is edited as it comes due, or shortly after.

use chrono::{DateTime, Duration, Utc};
use schedule::rearm::Run;
use schedule::zone::Tz;
use schedule::{Edge, Error, OnGap, Past, Schedule, Spec};

use super::{local, utc};

const DAILY: Spec<'_> = Spec {
    start: "2026-06-01T09:00",
    timezone: "UTC",
    recurrence: None,
    rrule: Some("FREQ=DAILY"),
    exdates: &[],
    on_gap: OnGap::Shift,
    window_start: None,
    window_end: None,
};
const ONCE: Spec<'_> = Spec { rrule: None, ..DAILY };

/// An instant of 2026-06-01.
fn at(time: &str) -> DateTime<Utc> {
    format!("2026-06-01T{time}Z").parse().unwrap()
}

fn past(now: &str, fired: Option<&str>, runs: &[Run]) -> Past {
    Past { now: at(now), fired: fired.map(at), runs: runs.to_vec() }
}

/// A run that nothing was sent of: open, or called back.
fn unsent(fire_at: &str, finished_at: Option<&str>) -> Run {
    Run { fire_at: at(fire_at), finished_at: finished_at.map(at), is_unsent: true }
}

fn sent(fire_at: &str) -> Run {
    Run { fire_at: at(fire_at), finished_at: None, is_unsent: false }
}

fn armed(spec: &Spec<'_>, past: &Past) -> Result<String, &'static str> {
    let accepted = spec.check_again(past).map_err(|error: Error| error.field)?;
    Ok(accepted.first_fire.format("%d %H:%M:%S").to_string())
}

/// R43, R44: what was sent is not sent again, be it for once or daily; what has not fired has a minute of grace.
#[test]
fn what_has_fired_does_not_fire_again() {
    for (now, fired, daily, once) in [
        ("08:59:00", None, Ok("01 09:00:00"), Ok("01 09:00:00")),
        ("09:00:40", None, Ok("01 09:01:00"), Ok("01 09:01:00")),
        ("09:01:00", None, Ok("01 09:02:00"), Ok("01 09:02:00")),
        ("09:01:01", None, Ok("02 09:00:00"), Err("start")),
        ("09:00:40", Some("09:00:00"), Ok("02 09:00:00"), Err("start")),
        ("09:30:00", Some("09:00:00"), Ok("02 09:00:00"), Err("start")),
        ("09:00:40", Some("08:00:00"), Ok("01 09:01:00"), Ok("01 09:01:00")),
    ] {
        let runs: Vec<_> = fired.iter().map(|fired| sent(fired)).collect();
        let past = past(now, fired, &runs);
        assert_eq!(armed(&DAILY, &past), daily.map(str::to_owned), "daily at {now}, fired {fired:?}");
        assert_eq!(armed(&ONCE, &past), once.map(str::to_owned), "once at {now}, fired {fired:?}");
    }
    let error = ONCE.check_again(&past("09:00:40", Some("09:00:00"), &[sent("09:00:00")])).unwrap_err();
    assert!(error.message.contains("it fired"), "{error}");
}

/// R44: an occurrence of which nothing was sent goes out as edited at the next full minute, however late, edited however often;
/// but not if the edit takes it away, if its window has closed, or if something has fired in its place.
#[test]
fn what_was_not_sent_goes_out_as_edited() {
    let nine = "09:00:00";
    let moved = Spec { start: "2026-06-01T15:00", ..DAILY };
    let earlier = Spec { start: "2026-06-01T08:59:50", ..DAILY };
    let until_ten = Spec { window_end: Some(&Edge::Hour(10)), ..DAILY };
    for (now, runs, spec, expected) in [
        ("09:00:10", vec![unsent(nine, None)], DAILY, "01 09:01:00"),
        ("09:00:10", vec![unsent(nine, None)], ONCE, "01 09:01:00"),
        ("09:00:10", vec![unsent(nine, None)], earlier, "01 09:01:00"),
        ("09:30:10", vec![unsent(nine, None)], DAILY, "01 09:31:00"),
        ("09:30:10", vec![unsent(nine, None)], ONCE, "01 09:31:00"),
        ("09:59:10", vec![unsent(nine, None)], until_ten, "02 09:00:00"),
        ("09:58:10", vec![unsent(nine, None)], until_ten, "01 09:59:00"),
        ("09:00:10", vec![unsent(nine, None)], moved, "01 15:00:00"),
        // the edit before called it back, and nothing has fired since
        ("09:00:20", vec![unsent(nine, Some("09:00:10"))], DAILY, "01 09:01:00"),
        ("09:30:20", vec![unsent(nine, Some("09:30:10"))], DAILY, "01 09:31:00"),
        ("09:30:20", vec![unsent(nine, Some("09:00:10"))], DAILY, "02 09:00:00"),
        // what fired in its place was called back as well
        ("09:31:10", vec![unsent("09:31:00", None), unsent(nine, Some("09:30:10"))], DAILY, "01 09:32:00"),
        ("09:31:10", vec![sent("09:31:00"), unsent(nine, Some("09:30:10"))], DAILY, "02 09:00:00"),
        ("09:31:10", vec![unsent("09:31:00", None), unsent(nine, Some("09:10:00"))], DAILY, "02 09:00:00"),
        ("09:31:10", vec![unsent("09:31:00", None), sent(nine)], DAILY, "02 09:00:00"),
        // it had its minute of grace when it was made
        ("09:01:05", vec![unsent("09:01:00", None)], DAILY, "01 09:02:00"),
    ] {
        let past = past(now, Some(nine), &runs);
        assert_eq!(armed(&spec, &past), Ok(expected.to_owned()), "{now} {runs:?} {}", spec.start);
    }
    let often = Spec { rrule: Some("FREQ=MINUTELY;INTERVAL=5"), start: "2026-06-01T09:00:30", ..DAILY };
    let past = past("09:05:10", Some("09:00:30"), &[unsent("09:00:30", None)]);
    assert_eq!(armed(&often, &past), Ok("01 09:05:30".to_owned()), "the next comes first, and stands for both");
}

/// R43, R44: what fired, or was sent, between the check of an edit and its writing.
#[test]
fn an_edit_is_armed_anew_as_it_is_written() {
    let schedule = |rrule| Schedule::new(local("2026-06-01 09:00"), Tz::UTC, rrule, Default::default(), OnGap::Shift);
    let (daily, once) = (schedule(Some("FREQ=DAILY")).unwrap(), schedule(None).unwrap());
    let tomorrow = Some(utc("2026-06-02 09:00"));
    let open = [unsent("09:00:00", None)];
    for (schedule, planned, fired, runs, expected) in [
        (&daily, "09:00:00", None, &[][..], Some(at("09:00:00"))),
        (&daily, "09:00:00", Some("09:00:00"), &open[..], Some(at("09:31:00"))),
        (&daily, "09:00:00", Some("09:00:00"), &[sent("09:00:00")][..], tomorrow),
        (&daily, "09:31:00", Some("09:00:00"), &[sent("09:00:00")][..], tomorrow),
        (&daily, "09:31:00", Some("08:00:00"), &[][..], Some(at("09:31:00"))),
        (&once, "09:31:00", Some("09:00:00"), &open[..], Some(at("09:31:00"))),
        (&once, "09:31:00", Some("09:00:00"), &[sent("09:00:00")][..], None),
        (&once, "15:00:00", Some("09:00:00"), &[sent("09:00:00")][..], Some(at("15:00:00"))),
    ] {
        let past = past("09:30:10", fired, runs);
        assert_eq!(past.rearm(schedule, at(planned)), Ok(expected), "{planned} {fired:?}");
    }
}

/// R43, R46: a first fire that is bumped past the end of its window would send nothing.
#[test]
fn a_window_that_closes_before_the_bumped_fire_is_refused() {
    let now = at("09:00:20");
    let late = Spec { start: "2026-06-01T08:59:50", window_end: Some(&Edge::Hour(9)), ..ONCE };
    let midnight = Spec { start: "2026-05-31T23:59:50", window_end: Some(&Edge::Hour(24)), ..ONCE };
    for rrule in [None, Some("FREQ=DAILY")] {
        let (late, midnight) = (Spec { rrule, ..late }, Spec { rrule, ..midnight });
        assert_eq!(late.check(now, 1).unwrap_err().field, "window_end");
        assert_eq!(midnight.check(at("00:00:20"), 1).unwrap_err().field, "window_end");
        late.check(now - Duration::seconds(40), 1).unwrap();
        Spec { window_end: Some(&Edge::Hour(10)), ..late }.check(now, 1).unwrap();
    }
    let past = past("09:00:20", None, &[]);
    assert_eq!(armed(&late, &past), Err("window_end"));
    assert_eq!(armed(&Spec { rrule: Some("FREQ=DAILY"), ..late }, &past), Ok("02 08:59:50".to_owned()));
}
