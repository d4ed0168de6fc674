//! Pure. When a reminder fires. DAILY and coarser rules are expanded in wall-clock time and mapped to instants here.
//! HOURLY and MINUTELY rules count elapsed time.
//!
//! A wall-clock time that does not exist (clocks go forward) is shifted by the gap: 02:30 fires at 03:30. Or it is left
//! out, as RFC 5545, section 3.3.10, asks for. A time that exists twice fires the first time.

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

/// A first occurrence may be this far in the past, since a person needs a moment to send the request.
pub const GRACE: Duration = Duration::seconds(60);

/// The largest distance between a wall-clock time and the instant it is mapped to. Some islands skipped a whole day.
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
    /// The value in the database.
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
    /// The start in wall-clock time of the zone.
    pub start_local: NaiveDateTime,
    /// Whether clocks show the start twice and the later time is meant.
    pub start_later: bool,
    /// The IANA zone.
    pub timezone: &'a str,
    /// The accepted rule; `None`: fires once.
    pub rrule: Option<&'a str>,
    /// Times of day in minutes from midnight that the rule does not contain.
    pub times: &'a [i16],
    /// Exceptions as [`Exdates::to_texts`] writes them.
    pub exdates: &'a [String],
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// The delivery window.
    pub window: Option<Window>,
}

/// Everything that decides when a reminder fires.
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
    /// If the zone is not known, or the rule or an exception is not accepted.
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
    /// If the rule is not accepted.
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

    /// Sets the start with its instant, which may be the later of two equal wall-clock times.
    #[must_use]
    pub fn starting(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Sets the times of day of the rule. Empty: the rule's own.
    #[must_use]
    pub fn firing_at(self, times: Vec<NaiveTime>) -> Self {
        Self { rule: self.rule.map(|rule| Rule { times, ..rule }), ..self }
    }

    /// Sets the window. An occurrence that clocks shift out of it does not fire.
    #[must_use]
    pub fn within(self, window: Option<Window>) -> Self {
        Self { window, ..self }
    }

    /// The first occurrence strictly later than `after`; `None` if there is none.
    ///
    /// # Errors
    /// If it is not found within the budget of steps.
    pub fn next_after(&self, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
        Ok(self.following(after, 1)?.occurrences.first().map(|occurrence| occurrence.at))
    }

    /// The first `want` occurrences strictly later than `after`, each instant once. Returns fewer if there are no more,
    /// or if the budget of steps is used up.
    ///
    /// # Errors
    /// If not even one is found within the budget.
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
        // no occurrence before this maps to an instant after `after`
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

    /// The zone, if times that its clocks skip are left out.
    fn skips_in(&self) -> Option<Tz> {
        (self.on_gap == OnGap::Skip).then_some(self.tz)
    }

    /// Adds an occurrence given as wall-clock time. Occurrences of a rule come in order.
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
            // an occurrence with a later wall-clock time may be earlier
            Some(Clocks::SecondOfTwo) => found.push_shifted(occurrence),
            Some(Clocks::Shifted) if self.on_gap == OnGap::Shift && self.is_open_at(local, at) => {
                found.push_shifted(occurrence);
            }
            Some(Clocks::Shifted) => found.skipped.push((at, local)),
        }
    }

    /// Whether the window of an occurrence is still open at the instant to which clocks shift it.
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

    /// Whether an exception excludes an occurrence, by the time that the rule names or by the time that clocks show.
    fn leaves_out(&self, nominal: NaiveDateTime, at: DateTime<Utc>) -> bool {
        !self.exdates.is_empty()
            && (self.exdates.hold(nominal) || self.exdates.hold(at.with_timezone(&self.tz).naive_local()))
    }

    /// The first `want` occurrences of a new reminder. A first occurrence up to [`GRACE`] in the past moves to the next
    /// full minute. If a recurring reminder began earlier than that, its occurrences from now on are returned.
    ///
    /// # Errors
    /// If there is no occurrence or none is left, if a one-time reminder lies further in the past, or if finding an
    /// occurrence or counting to the last one costs too much.
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
        // drop those that are no later than the first is now
        let first = first.at;
        let rest = following.occurrences.split_off(1);
        following.occurrences.extend(rest.into_iter().filter(|occurrence| occurrence.at > first));
        following.occurrences.truncate(want);
        let last = following.occurrences.last().map(|last| last.at);
        following.skipped.retain(|local| last.is_some_and(|last| instant_of(*local, self.tz) <= last));
        Ok(following)
    }

    /// Checks that a counted rule can be expanded to its end within the budget, since each search expands it from its
    /// start.
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

    /// The new time of an occurrence that was planned for `planned` with older zone data; `None` if it does not move.
    ///
    /// The new time is the occurrence nearest to `planned` that is later than `fired`, the last that fired, so that
    /// none fires twice. An occurrence does not move if `planned` still shows the time that the rule names, or if it
    /// moves by no more than [`GRACE`] (a first fire may have been moved that far).
    ///
    /// # Errors
    /// If it is not found within the budget of steps.
    pub fn moved(&self, planned: DateTime<Utc>, fired: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Error> {
        let day_before = planned - Duration::hours(26);
        let after = fired.map_or(day_before, |fired| fired.max(day_before));
        // every five minutes gives at most 312 in 26 hours, plus the next
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

/// The time of day for a number of minutes from midnight.
fn time_of(minutes: i16) -> Option<NaiveTime> {
    let minutes = u32::try_from(minutes).ok()?;
    NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0)
}
