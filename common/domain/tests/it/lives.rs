//! The lives of runs and reminders, and what becomes of late occurrences: tables of every pair.

use chrono::{DateTime, TimeDelta, Utc};
use domain::reminder::catch_up::{self, Misfire, Overlap, Sorted, Why};
use domain::reminder::life::{self, Ahead, State};
use domain::run::machine::{self, Event, Step, decide};
use domain::run::notice::{self, Chats, Kind};
use domain::run::{Status, Tally};

fn tally(sent: usize, failed: usize, pending: usize) -> Tally {
    Tally { pending, sent, failed, skipped: 0 }
}

/// Every event, those that carry targets with each outcome.
pub(crate) fn run_events() -> Vec<(&'static str, Event)> {
    vec![
        ("expanded", Event::Expanded),
        ("unsendable", Event::Unsendable),
        ("settled: all sent", Event::Settled(tally(2, 0, 0))),
        ("settled: some sent", Event::Settled(tally(1, 1, 0))),
        ("settled: none sent", Event::Settled(tally(0, 2, 0))),
        ("settled: one waits", Event::Settled(tally(1, 0, 1))),
        ("closed: some sent", Event::WindowClosed { tally: tally(1, 0, 1), delivered: false }),
        ("closed: one text", Event::WindowClosed { tally: tally(0, 0, 2), delivered: true }),
        ("closed: none sent", Event::WindowClosed { tally: tally(0, 0, 2), delivered: false }),
        ("closed: all sent", Event::WindowClosed { tally: tally(2, 0, 0), delivered: true }),
        ("resumed", Event::Resumed),
        ("canceled: all sent", Event::Canceled { tally: tally(2, 0, 0), left: true }),
        ("canceled: some sent", Event::Canceled { tally: tally(1, 1, 0), left: true }),
        ("canceled: one text", Event::Canceled { tally: tally(0, 2, 0), left: true }),
        ("canceled: none sent", Event::Canceled { tally: tally(0, 2, 0), left: false }),
        ("superseded: all sent", Event::Superseded { tally: tally(2, 0, 0), left: true }),
        ("superseded: some sent", Event::Superseded { tally: tally(1, 1, 0), left: true }),
        ("superseded: one text", Event::Superseded { tally: tally(0, 2, 0), left: true }),
        ("superseded: none sent", Event::Superseded { tally: tally(0, 2, 0), left: false }),
    ]
}

fn word(step: Option<Step>) -> String {
    let Some(step) = step else { return "-".to_owned() };
    match step.reminder {
        Some(event) => format!("{} {event:?}", step.status),
        None => step.status.to_string(),
    }
}

/// R45, R46, R48, R49: every state with every event. What is over stays as it is; a run that was resumed tells its reminder
/// when it is over, any other does not.
#[test]
fn every_pair_of_run_and_event() {
    use Status::{Paused, Pending, Running};
    let table = [
        (Pending, "expanded", "running"),
        (Pending, "unsendable", "failed"),
        (Pending, "canceled: all sent", "success"),
        (Pending, "canceled: some sent", "partial"),
        (Pending, "canceled: one text", "partial"),
        (Pending, "canceled: none sent", "canceled"),
        (Pending, "superseded: all sent", "success"),
        (Pending, "superseded: some sent", "partial"),
        (Pending, "superseded: one text", "partial"),
        (Pending, "superseded: none sent", "canceled"),
        (Running, "settled: all sent", "success"),
        (Running, "settled: some sent", "partial"),
        (Running, "settled: none sent", "failed"),
        (Running, "closed: some sent", "paused WindowClosed"),
        (Running, "closed: one text", "paused WindowClosed"),
        (Running, "closed: none sent", "failed WindowClosed"),
        (Running, "closed: all sent", "success"),
        (Running, "canceled: all sent", "success"),
        (Running, "canceled: some sent", "partial"),
        (Running, "canceled: one text", "partial"),
        (Running, "canceled: none sent", "canceled"),
        (Running, "superseded: all sent", "success"),
        (Running, "superseded: some sent", "partial"),
        (Running, "superseded: one text", "partial"),
        (Running, "superseded: none sent", "canceled"),
        (Paused, "resumed", "running"),
        (Paused, "canceled: all sent", "success RunOver"),
        (Paused, "canceled: some sent", "partial RunOver"),
        (Paused, "canceled: one text", "partial RunOver"),
        (Paused, "canceled: none sent", "partial RunOver"),
        (Paused, "superseded: all sent", "success"),
        (Paused, "superseded: some sent", "partial"),
        (Paused, "superseded: one text", "partial"),
        (Paused, "superseded: none sent", "canceled"),
    ];
    let mut seen = 0;
    for status in Status::ALL {
        for (name, event) in run_events() {
            let row = table.iter().find(|(of, with, _)| (*of, *with) == (status, name));
            let expected = row.map_or("-", |(.., becomes)| becomes);
            assert_eq!(word(decide(status, event, false)), expected, "{status}, {name}");
            let over = matches!(event, Event::Settled(_) | Event::WindowClosed { .. } | Event::Canceled { .. })
                && ["success", "partial", "failed", "canceled"].contains(&expected);
            let resumed = if over { format!("{expected} RunOver") } else { expected.to_owned() };
            assert_eq!(word(decide(status, event, true)), resumed, "{status}, {name}, resumed");
            assert!(!status.finished() || expected == "-", "{status} is over");
            seen += usize::from(row.is_some());
        }
    }
    assert_eq!(seen, table.len(), "every row of the table names a pair");
}

/// R45, R46, R83: a run that is over is corrected by what turns out to have been sent, and by what turns out not to have been
/// that counted as sent; any other is left alone.
#[test]
fn late_answers_correct_what_is_over() {
    use Status::{Canceled, Failed, Partial, Success};
    for (tally, left, corrections) in [
        (tally(0, 0, 2), false, &[][..]),
        (tally(0, 0, 0), false, &[]),
        (tally(0, 0, 2), true, &[(Canceled, Partial)]),
        (tally(0, 1, 0), false, &[(Success, Failed), (Partial, Failed)]),
        (tally(0, 1, 0), true, &[(Success, Partial), (Partial, Partial), (Canceled, Partial)]),
        (tally(1, 0, 1), true, &[(Canceled, Partial), (Partial, Partial), (Failed, Partial)]),
        (tally(1, 1, 0), true, &[(Success, Partial), (Canceled, Partial), (Partial, Partial), (Failed, Partial)]),
        (tally(2, 0, 0), true, &[(Canceled, Success), (Partial, Success), (Failed, Success)]),
    ] {
        for status in Status::ALL {
            let expected = corrections.iter().find(|(of, _)| *of == status).map(|(_, becomes)| *becomes);
            assert_eq!(machine::corrected(status, tally, left), expected, "{status}, {tally:?}, {left}");
        }
    }
}

/// R44, R46, R48, R49: every state of a reminder with every event and whatever lies ahead.
#[test]
fn every_pair_of_reminder_and_event() {
    use life::Event::{Edited, Fired, Paused, Resumed, RunOver, WindowClosed};
    let by_window = State { status: life::Status::Paused, by_tenant: false };
    let by_tenant = State { status: life::Status::Paused, by_tenant: true };
    let plain = |status| State { status, by_tenant: false };
    let (active, failed, ended) =
        (plain(life::Status::Active), plain(life::Status::Failed), plain(life::Status::Ended));
    let all = [Some(active), Some(ended), Some(failed)]; // with a next occurrence, without one, with a broken rule
    let always = |state| [Some(state); 3];
    for (state, event, becomes) in [
        (active, Fired, all),
        (active, Edited, always(active)),
        (active, Paused, always(by_tenant)),
        (active, Resumed, [None; 3]),
        (active, WindowClosed, always(by_window)),
        (active, RunOver, [None; 3]),
        (by_window, Fired, [None; 3]),
        (by_window, Edited, always(active)),
        (by_window, Paused, always(by_tenant)),
        (by_window, Resumed, all),
        (by_window, WindowClosed, [None; 3]),
        (by_window, RunOver, all),
        (by_tenant, Fired, [None; 3]),
        (by_tenant, Edited, always(active)),
        (by_tenant, Paused, always(by_tenant)),
        (by_tenant, Resumed, all),
        (by_tenant, WindowClosed, [None; 3]),
        (by_tenant, RunOver, [None; 3]),
        (failed, Fired, [None; 3]),
        (failed, Edited, always(active)),
        (failed, Paused, [None; 3]),
        (failed, Resumed, [Some(active), None, None]),
        (failed, WindowClosed, [None; 3]),
        (failed, RunOver, [None; 3]),
        (ended, Fired, [None; 3]),
        (ended, Edited, always(active)),
        (ended, Paused, [None; 3]),
        (ended, Resumed, [None; 3]),
        (ended, WindowClosed, always(by_window)),
        (ended, RunOver, [None; 3]),
    ] {
        for (ahead, becomes) in [Ahead::Next, Ahead::Nothing, Ahead::Broken].into_iter().zip(becomes) {
            assert_eq!(life::decide(state, event, ahead), becomes, "{state:?}, {event:?}, {ahead:?}");
        }
    }
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// Every `every` minutes from 0 on; now is `now` minutes and ten seconds.
fn sort(every: i64, now: i64, misfire: Misfire, window_minutes: i64) -> Sorted {
    let next = |after: DateTime<Utc>| Ok(Some(at(((after - at(0)).num_minutes() / every + 1) * every)));
    let now = at(now) + TimeDelta::seconds(10);
    catch_up::sort(at(0), now, (misfire, TimeDelta::minutes(window_minutes)), next, || false)
}

fn minutes(times: &[DateTime<Utc>]) -> Vec<i64> {
    times.iter().map(|time| (*time - at(0)).num_minutes()).collect()
}

/// What is on time fires, whatever the rule for what is late.
#[test]
fn what_is_on_time_fires() {
    for misfire in [Misfire::Latest, Misfire::All, Misfire::Skip] {
        let sorted = sort(60, 0, misfire, 60);
        assert_eq!((minutes(&sorted.fire), sorted.missed.len()), (vec![0], 0), "{misfire:?}");
        assert_eq!(sorted.next, Ok(Some(at(60))));
    }
}

/// Of what is late, `latest` fires the newest within the window, `all` the newest ten, `skip` none; the rest is missed, each
/// with its reason, and nothing is silently gone.
#[test]
fn what_is_late_is_sorted() {
    let sorted = sort(10, 125, Misfire::Latest, 60);
    assert_eq!(minutes(&sorted.fire), [120]);
    assert_eq!(sorted.missed.len(), 12);
    assert_eq!(
        sorted.missed.iter().filter(|(_, why)| *why == Why::TooLate).count(),
        7,
        "0 to 60 lie before the window"
    );
    assert_eq!(sorted.missed.last(), Some(&(at(110), Why::Superseded)));

    let sorted = sort(5, 125, Misfire::All, 60);
    assert_eq!(minutes(&sorted.fire), [80, 85, 90, 95, 100, 105, 110, 115, 120, 125]);
    assert_eq!(sorted.missed.len(), 16);

    let sorted = sort(10, 125, Misfire::Skip, 60);
    assert!(sorted.fire.is_empty());
    assert_eq!((sorted.missed.len(), sorted.missed.last()), (13, Some(&(at(120), Why::Late))));
    let sorted = sort(10, 120, Misfire::Skip, 60);
    assert_eq!(minutes(&sorted.fire), [120], "ten seconds are not late");

    for misfire in [Misfire::Latest, Misfire::All, Misfire::Skip] {
        let sorted = sort(60, 59, misfire, 30);
        assert!(sorted.fire.is_empty() && sorted.missed == [(at(0), Why::TooLate)], "{misfire:?}: {sorted:?}");
        assert_eq!(sorted.next, Ok(Some(at(60))));
    }
}

/// A year of occurrences is not computed one by one: a hundred are counted, and it is said that there were more.
#[test]
fn a_long_outage_is_bounded() {
    let sorted = sort(5, 525_600, Misfire::Latest, 1_440);
    assert_eq!(minutes(&sorted.fire), [525_600]);
    assert!(sorted.uncounted && sorted.missed.len() <= 400, "{}", sorted.missed.len());
    assert_eq!(sorted.next, Ok(Some(at(525_605))));
    let never_enough = catch_up::sort(
        at(0),
        at(100),
        (Misfire::Latest, TimeDelta::minutes(60)),
        |after| Ok(Some(after + TimeDelta::minutes(1))),
        || true,
    );
    assert!(never_enough.uncounted, "what was not looked at is said");
    assert_eq!(never_enough.next, Ok(Some(at(101))));
}

/// However little may be computed, the newest fires, and that others are missed has a row and an event.
#[test]
fn what_is_cut_short_is_missed_and_the_newest_fires() {
    let every_5 = |after: DateTime<Utc>| Ok(Some(at(((after - at(0)).num_minutes() / 5 + 1) * 5)));
    for misfire in [Misfire::Latest, Misfire::All, Misfire::Skip] {
        let now = at(30) + TimeDelta::seconds(10);
        let sorted = catch_up::sort(at(0), now, (misfire, TimeDelta::minutes(60)), every_5, || true);
        assert_eq!((minutes(&sorted.fire), sorted.next), (vec![30], Ok(Some(at(35)))), "{misfire:?}");
        assert!(sorted.uncounted && !sorted.missed.is_empty(), "{misfire:?}: {:?}", sorted.missed);
    }
    let day = catch_up::sort(at(0), at(1_437), (Misfire::Latest, TimeDelta::days(1)), every_5, || true);
    assert_eq!(minutes(&day.fire), [1_435]);
}

/// While a run is in progress the next is missed, waits, or goes on beside it; at most ten wait.
#[test]
fn runs_that_overlap() {
    let due = || sort(60, 0, Misfire::Latest, 60);
    for (overlap, open, fires, why) in [
        (Overlap::Skip, 0, 1, None),
        (Overlap::Skip, 1, 0, Some(Why::Overlap)),
        (Overlap::Queue, 0, 1, None),
        (Overlap::Queue, 9, 1, None),
        (Overlap::Queue, 10, 0, Some(Why::QueueFull)),
        (Overlap::Allow, 99, 1, None),
    ] {
        let sorted = due().beside(overlap, open);
        assert_eq!(
            (sorted.fire.len(), sorted.missed.first().map(|(_, why)| *why)),
            (fires, why),
            "{overlap:?}, {open}"
        );
    }
}

/// R50, R88: the words. Groups are called so only where all targets are; times stand on the clocks of the reminder's zone.
#[test]
fn what_a_person_is_told() {
    let said = |status, tally| notice::ended(status, tally, Chats::Groups);
    assert_eq!(
        said(Status::Paused, tally(3, 0, 9)),
        Some((Kind::Paused, "3 of 12 groups delivered. Resume or cancel.".to_owned()))
    );
    assert_eq!(
        said(Status::Partial, tally(10, 2, 0)),
        Some((Kind::Partial, "10 of 12 groups delivered, 2 failed.".to_owned()))
    );
    for (groups, total, words) in [
        (1, 1, "0 of 1 group delivered, 1 failed."),
        (0, 1, "0 of 1 person delivered, 1 failed."),
        (0, 2, "0 of 2 people delivered, 2 failed."),
        (1, 2, "0 of 2 chats delivered, 2 failed."),
    ] {
        let told = notice::ended(Status::Failed, tally(0, total, 0), Chats::of(groups, total));
        assert_eq!(told, Some((Kind::Failed, words.to_owned())));
    }
    let closed = "the delivery window closed. The reminder is paused until you resume it.";
    assert_eq!(
        said(Status::Failed, tally(0, 0, 3)),
        Some((Kind::Failed, format!("0 of 3 groups delivered, 3 not tried: {closed}")))
    );
    assert_eq!(said(Status::Success, tally(2, 0, 0)), None);
    let utc = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    for (at, zone, words) in [
        ("2026-11-02T08:00:00Z", "Europe/Berlin", "Monday, 2 November 2026, 09:00 (Europe/Berlin)"),
        ("2026-11-02T08:00:00Z", "America/New_York", "Monday, 2 November 2026, 03:00 (America/New_York)"),
        ("2026-11-01T05:30:00Z", "America/New_York", "Sunday, 1 November 2026, 01:30 EDT (America/New_York)"),
        ("2026-11-01T06:30:00Z", "America/New_York", "Sunday, 1 November 2026, 01:30 EST (America/New_York)"),
        ("2026-06-01T08:00:30Z", "UTC", "Monday, 1 June 2026, 08:00:30 (UTC)"),
    ] {
        assert_eq!(notice::fired(utc(at), zone), format!("Fired for {words}."));
        assert_eq!(
            notice::missed(1, false, (utc(at), zone), "it was late"),
            format!("The occurrence of {words} was not sent: it was late.")
        );
    }
    let many = notice::missed(100, true, (utc("2026-11-02T08:00:00Z"), "Europe/Berlin"), "it was late");
    assert_eq!(
        many,
        "At least 100 occurrences since Monday, 2 November 2026, 09:00 (Europe/Berlin) were not sent: it was late."
    );
}
