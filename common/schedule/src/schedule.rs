//! Pure. When a reminder fires. DAILY and coarser rules are expanded in floating local time and mapped to instants here;
//! HOURLY and MINUTELY rules count real time.
//!
//! Where a wall-clock time does not exist (clocks go forward) the occurrence is shifted by the gap, so that 02:30 fires at
//! 03:30; or it is left out, which is what RFC 5545, section 3.3.10, asks for. Where it exists twice, it fires the first time.

use chrono::{DateTime, Days, Duration, NaiveDateTime, NaiveTime, TimeZone as _, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::exdates::Exdates;
use super::floating::Floating;
use super::found::Found;
use super::occurrence::{Clocks, Following, Occurrence};
use super::real_time::RealTime;
use super::rule::{FIELD, Rule};
use super::start::Start;
use super::steps::Steps;
use super::wall_clock::{Local, instant_of};
use super::window::Window;
use crate::zone::Tz;

/// A first fire may lie this far in the past: whoever clicks is a little slower than the clock.
pub const GRACE: Duration = Duration::seconds(60);

/// A wall-clock time may be this far from the instant it is mapped to: some islands skipped a whole day.
const MARGIN: Days = Days::new(2);

/// What becomes of an occurrence whose time clocks skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
pub enum OnGap {
    /// It fires later by the length of the gap: 02:30 at 03:30.
    #[default]
    Shift,
    /// It does not fire.
    Skip,
}

impl OnGap {
    /// The word that the row holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Skip => "skip",
        }
    }
}

/// A schedule as rows hold it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The start on the zone's clocks.
    pub start_local: NaiveDateTime,
    /// Clocks show that twice, and the later time is meant.
    pub start_later: bool,
    /// The IANA zone.
    pub timezone: &'a str,
    /// The rule as accepted; none: fires once.
    pub rrule: Option<&'a str>,
    /// Minutes from midnight at which it fires, where no rule says them.
    pub times: &'a [i16],
    /// Exceptions as [`Exdates::to_texts`] writes them.
    pub exdates: &'a [String],
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// Between which times of a day it may send.
    pub window: Option<Window>,
}

/// All that decides when a reminder fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    start: Start,
    pub(super) tz: Tz,
    rule: Option<Rule>,
    exdates: Exdates,
    on_gap: OnGap,
    pub(super) window: Option<Window>,
}

impl Schedule {
    /// Reads a stored schedule.
    ///
    /// # Errors
    /// When the zone is not known, or the rule or an exception is not one that is accepted.
    pub fn read(stored: &Stored<'_>) -> Result<Self, Error> {
        let tz = super::timezone::timezone(stored.timezone)?;
        let exdates = Exdates::parse(stored.exdates, tz)?;
        let schedule = Self::new(stored.start_local, tz, stored.rrule, exdates, stored.on_gap)?;
        let start = Start::stored_as(stored.start_local, stored.start_later, tz);
        let times = stored.times.iter().filter_map(|minutes| time_of(*minutes)).collect();
        Ok(Self { window: stored.window, ..schedule.starting(start).firing_at(times) })
    }

    /// A schedule in a known zone; see [`Self::read`].
    ///
    /// # Errors
    /// When the rule is not one that is accepted.
    pub fn new(
        start: NaiveDateTime,
        tz: Tz,
        rrule: Option<&str>,
        exdates: Exdates,
        on_gap: OnGap,
    ) -> Result<Self, Error> {
        let rule = rrule.map(Rule::parse).transpose()?;
        if let Some(rule) = &rule {
            rule.check()?;
        }
        Ok(Self { start: Start::stored(start, tz), tz, rule, exdates, on_gap, window: None })
    }

    /// The same with the instant of its start, which may be the later of two equal times.
    #[must_use]
    pub fn starting(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// The same at these times of a day, where there are any.
    #[must_use]
    pub fn firing_at(self, times: Vec<NaiveTime>) -> Self {
        Self { rule: self.rule.map(|rule| Rule { times, ..rule }), ..self }
    }

    /// The same within a window: what clocks shift out of it does not fire.
    #[must_use]
    pub fn within(self, window: Option<Window>) -> Self {
        Self { window, ..self }
    }

    /// The first occurrence strictly later than `after`; none when there is no more.
    ///
    /// # Errors
    /// When it is not found within the budget of steps.
    pub fn next_after(&self, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(self.following(after, 1)?.occurrences.first().map(|occurrence| occurrence.at))
    }

    /// The first `want` occurrences strictly later than `after`, each instant once; fewer when there are no more, or when
    /// the budget of steps ends.
    ///
    /// # Errors
    /// When not even one is found within the budget.
    pub fn following(&self, after: DateTime<Utc>, want: usize) -> Result<Following, Error> {
        let mut steps = Steps::new();
        let mut found = Found { want, ..Found::default() };
        let searched = match &self.rule {
            None => {
                self.take(self.start.local, after, &mut found);
                Ok(())
            }
            Some(rule) if rule.freq.is_real_time() => self.search_real_time(rule, after, &mut found, &mut steps),
            Some(rule) => self.search_floating(rule, after, &mut found, &mut steps),
        };
        match searched {
            Err(error) if found.occurrences.is_empty() => Err(error),
            _ => Ok(found.finish(steps)),
        }
    }

    fn search_floating(
        &self,
        rule: &Rule,
        after: DateTime<Utc>,
        found: &mut Found,
        steps: &mut Steps,
    ) -> Result<(), Error> {
        // no occurrence before this can be mapped to an instant past `after`
        let from = after.with_timezone(&self.tz).naive_local().checked_sub_days(MARGIN).unwrap_or(self.start.local);
        let mut floating = Floating::new(rule, self.start.local, self.exdates.days(), (from, self.skips_in()));
        while !found.complete {
            let Some(local) = floating.next(steps)? else { break };
            if local >= from {
                self.take(local, after, found);
            }
        }
        Ok(())
    }

    /// The zone, where what its clocks skip is left out.
    fn skips_in(&self) -> Option<Tz> {
        (self.on_gap == OnGap::Skip).then_some(self.tz)
    }

    /// Takes an occurrence that wall clocks name; those of a schedule come in order.
    fn take(&self, local: NaiveDateTime, after: DateTime<Utc>, found: &mut Found) {
        let meaning = self.tz.local(local);
        let (at, clocks) = match meaning {
            Local::Twice(_, second) if local == self.start.local && second == self.start.at => {
                (second, Some(Clocks::SecondOfTwo))
            }
            Local::Once(at) => (at, None),
            Local::Twice(first, _) => (first, Some(Clocks::FirstOfTwo)),
            Local::Skipped(at) => (at, Some(Clocks::Shifted)),
        };
        let over = self.rule.as_ref().and_then(|rule| rule.until).is_some_and(|until| until.passed(at));
        let before_start = at < self.start.at && self.start.is_later(self.tz);
        if at <= after || before_start || over || self.leaves_out(local, at) {
            return;
        }
        let occurrence = Occurrence { at, nominal: local, clocks };
        match clocks {
            None | Some(Clocks::FirstOfTwo) => found.push(occurrence),
            // what comes after it on the wall may have come before it
            Some(Clocks::SecondOfTwo) => found.push_shifted(occurrence),
            Some(Clocks::Shifted) if self.on_gap == OnGap::Shift && self.is_open_at(local, at) => {
                found.push_shifted(occurrence);
            }
            Some(Clocks::Shifted) => found.skipped.push((at, local)),
        }
    }

    /// Whether the window of an occurrence is still open where clocks shift it to.
    fn is_open_at(&self, nominal: NaiveDateTime, at: DateTime<Utc>) -> bool {
        self.window.is_none_or(|window| at < window.close_behind(nominal, self.tz, at))
    }

    fn search_real_time(
        &self,
        rule: &Rule,
        after: DateTime<Utc>,
        found: &mut Found,
        steps: &mut Steps,
    ) -> Result<(), Error> {
        let mut real_time = RealTime::new(rule, (self.start, self.tz), self.exdates.days(), after.timestamp());
        while !found.complete {
            let Some(second) = real_time.next(steps)? else { break };
            if second <= after.timestamp() {
                continue;
            }
            let Some(at) = DateTime::from_timestamp(second, 0) else { break };
            let nominal = self.tz.from_utc_datetime(&at.naive_utc()).naive_local();
            if self.leaves_out(nominal, at) {
                continue;
            }
            let clocks = match self.tz.local(nominal) {
                Local::Twice(first, _) if first == at => Some(Clocks::FirstOfTwo),
                Local::Twice(..) => Some(Clocks::SecondOfTwo),
                Local::Once(_) | Local::Skipped(_) => None,
            };
            found.push(Occurrence { at, nominal, clocks });
        }
        Ok(())
    }

    /// Whether an exception names it, by the time that the rule names or by the one that clocks show.
    fn leaves_out(&self, nominal: NaiveDateTime, at: DateTime<Utc>) -> bool {
        !self.exdates.is_empty()
            && (self.exdates.hold(nominal) || self.exdates.hold(at.with_timezone(&self.tz).naive_local()))
    }

    /// The first `want` occurrences of a new reminder. One that recurs may have begun long ago: it fires from now on. Else the first of
    /// all, up to [`GRACE`] in the past, is bumped to the next full minute.
    ///
    /// # Errors
    /// When there is none or none left, what fires once lies further back, or finding one, or counting to the last, costs too
    /// much.
    pub fn first(&self, now: DateTime<Utc>, want: usize) -> Result<Following, Error> {
        let before = self.start.at.min(instant_of(self.start.local, self.tz)) - Duration::seconds(1);
        let mut following = self.following(before, want + 1)?;
        let Some(first) = following.occurrences.first_mut() else { return Err(self.why_none(before)) };
        self.check_count()?;
        if now - first.at > GRACE {
            if self.rule.is_none() {
                let late = (now - first.at).num_minutes();
                let local = first.at.with_timezone(&self.tz).format("%Y-%m-%d %H:%M %Z");
                return Err(Error::new("start", format_args!("{local} is {late} minutes in the past")));
            }
            let following = self.following(now, want)?;
            let over = || Error::new(FIELD, "has no occurrence left: its last lies in the past");
            return if following.occurrences.is_empty() { Err(over()) } else { Ok(following) };
        }
        if first.at <= now {
            let minute = now.with_second(0).and_then(|now| now.with_nanosecond(0)).unwrap_or(now);
            first.at = minute + Duration::minutes(1);
        }
        // what comes no later than the first does now has become one with it
        let first = first.at;
        let rest = following.occurrences.split_off(1);
        following.occurrences.extend(rest.into_iter().filter(|occurrence| occurrence.at > first));
        following.occurrences.truncate(want);
        let last = following.occurrences.last().map(|last| last.at);
        following.skipped.retain(|local| last.is_some_and(|last| instant_of(*local, self.tz) <= last));
        Ok(following)
    }

    /// A counted rule is expanded from its start each time: whether that is cheap to the end.
    fn check_count(&self) -> Result<(), Error> {
        let Some(rule) = self.rule.as_ref().filter(|rule| rule.count.is_some()) else { return Ok(()) };
        let mut steps = Steps::new();
        if rule.freq.is_real_time() {
            let mut real_time = RealTime::new(rule, (self.start, self.tz), self.exdates.days(), 0);
            while real_time.next(&mut steps)?.is_some() {}
        } else {
            let mut floating =
                Floating::new(rule, self.start.local, self.exdates.days(), (self.start.local, self.skips_in()));
            while floating.next(&mut steps)?.is_some() {}
        }
        Ok(())
    }

    /// Why a schedule has no occurrence at all.
    fn why_none(&self, before: DateTime<Utc>) -> Error {
        let with_all = Self { exdates: Exdates::default(), on_gap: OnGap::Shift, window: None, ..self.clone() };
        let until = self.rule.as_ref().and_then(|rule| rule.until);
        if let Some(until) = until.filter(|until| until.precedes(self.start.local, self.start.at)) {
            let (until, start) = (until.words(), self.start.local.format("%Y-%m-%d %H:%M"));
            Error::new(FIELD, format_args!("ends at {until}, before the start at {start}"))
        } else if !self.exdates.is_empty() && matches!(with_all.next_after(before), Ok(Some(_))) {
            Error::new("exdates", "leave no occurrence at all")
        } else if self.on_gap == OnGap::Skip && matches!(with_all.next_after(before), Ok(Some(_))) {
            Error::new("on_gap", "`skip` leaves no occurrence at all: clocks skip each")
        } else if self.window.is_some() && matches!(with_all.next_after(before), Ok(Some(_))) {
            Error::new("window_end", "leaves no occurrence at all: clocks shift each behind it")
        } else {
            Error::new(FIELD, "has no occurrence at all")
        }
    }

    /// Where an occurrence that was planned for `planned` with other zone data lies with today's; none: where it is.
    ///
    /// It is the occurrence nearest to `planned` that is later than `fired`, the last that fired, so that none fires twice. A
    /// time that still reads as the rule says stays, be it the later of two; so does a first fire in its minute of grace.
    ///
    /// # Errors
    /// When it is not found within the budget of steps.
    pub fn moved(&self, planned: DateTime<Utc>, fired: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Error> {
        let day_before = planned - Duration::hours(26);
        let after = fired.map_or(day_before, |fired| fired.max(day_before));
        // every five minutes makes 312 in 26 hours; the next is there, too
        let near = match self.rule {
            Some(_) => self.following(after, 314)?.occurrences,
            None => self.following(DateTime::UNIX_EPOCH, 1)?.occurrences,
        };
        let nearest = near.iter().min_by_key(|occurrence| (occurrence.at - planned).abs());
        let reads_right = |nominal| planned.with_timezone(&self.tz).naive_local() == nominal;
        Ok(nearest
            .filter(|nearest| !reads_right(nearest.nominal) && (nearest.at - planned).abs() > GRACE)
            .map(|nearest| nearest.at))
    }
}

/// A time of day by its minutes from midnight.
fn time_of(minutes: i16) -> Option<NaiveTime> {
    let minutes = u32::try_from(minutes).ok()?;
    NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0)
}
