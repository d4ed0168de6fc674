//! Pure. When a reminder fires. DAILY and coarser rules are expanded in floating local time and mapped to instants here;
//! HOURLY and MINUTELY rules count real time.
//!
//! Where a wall-clock time does not exist (clocks go forward) the occurrence is shifted by the gap, so that 02:30 fires at
//! 03:30; or it is left out, which is what RFC 5545, section 3.3.10, asks for. Where it exists twice, it fires the first time.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Days, Duration, NaiveDateTime, TimeZone as _, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use super::exdates::Exdates;
use super::floating::Floating;
use super::real_time::RealTime;
use super::rule::{FIELD, Rule};
use super::steps::Steps;
use super::zone::{Local, instant_of};
use super::{Error, within_range};
use crate::zone::Tz;

/// A first fire may lie this far in the past: whoever clicks is a little slower than the clock (R43).
pub const GRACE: Duration = Duration::seconds(60);

/// A wall-clock time may be this far from the instant it is mapped to: some islands skipped a whole day.
const MARGIN: Days = Days::new(2);

/// What becomes of an occurrence whose time clocks skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
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

/// A reminder's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Wall-clock time in the reminder's zone.
    pub local: NaiveDateTime,
    /// The instant meant. Where clocks go back, an offset may name the later of two.
    pub at: DateTime<Utc>,
}

impl Start {
    /// Reads a start such as `2026-12-01T09:00`, which is wall-clock time in `tz`, or `2026-12-01T09:00:00+01:00`, an
    /// instant (R40). A time that clocks skip is accepted and shifted; fractions of a second are dropped.
    ///
    /// # Errors
    /// When it is neither, or lies outside 1970 to 2199; the error's field is `start`.
    pub fn parse(text: &str, tz: Tz) -> Result<Self, Error> {
        let text = text.trim();
        let outside = || Error::new("start", "must lie between 1970 and 2199");
        let start = if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            let at = instant.with_timezone(&Utc);
            let at = at.with_nanosecond(0).unwrap_or(at);
            // far beyond it no zone's clock can be read; its own clock may show the next year or the last
            if !(1969..=2200).contains(&at.year()) {
                return Err(outside());
            }
            Self { local: at.with_timezone(&tz).naive_local(), at }
        } else {
            let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
            let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            let local = local
                .ok_or_else(|| Error::new("start", "must be like 2026-12-01T09:00 or 2026-12-01T09:00:00+01:00"))?;
            let local = local.with_nanosecond(0).unwrap_or(local);
            if !within_range(local.date()) {
                return Err(outside());
            }
            Self { local, at: instant_of(local, tz) }
        };
        if within_range(start.local.date()) { Ok(start) } else { Err(outside()) }
    }

    /// A start that was stored as wall-clock time.
    #[must_use]
    pub fn stored(local: NaiveDateTime, tz: Tz) -> Self {
        Self { local, at: instant_of(local, tz) }
    }
}

/// What clocks did to an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clocks {
    /// They skip its time: it fires later by the gap.
    Shifted,
    /// They show its time twice: it fires the first time.
    FirstOfTwo,
    /// They show its time twice, and this is the second: of HOURLY and MINUTELY rules only.
    SecondOfTwo,
}

/// One firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When.
    pub at: DateTime<Utc>,
    /// The time on the wall that the rule names; clocks may skip it.
    pub nominal: NaiveDateTime,
    /// What clocks did to it, if anything.
    pub clocks: Option<Clocks>,
}

/// Occurrences in order, and what clocks left out among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following {
    /// The occurrences.
    pub occurrences: Vec<Occurrence>,
    /// Times that clocks skip and that [`OnGap::Skip`] leaves out, before the last of the occurrences.
    pub skipped: Vec<NaiveDateTime>,
    /// Days, hours and occurrences that were looked at; at most [`super::steps::STEPS_MAX`].
    pub steps: u32,
}

/// All that decides when a reminder fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    start: NaiveDateTime,
    pub(super) tz: Tz,
    rule: Option<Rule>,
    exdates: Exdates,
    on_gap: OnGap,
}

impl Schedule {
    /// Reads a stored schedule: a start in the zone's wall-clock time, a rule as accepted (none: fires once), and
    /// exceptions as [`Exdates::to_texts`] writes them.
    ///
    /// # Errors
    /// When the zone is not known, or the rule or an exception is not one that is accepted.
    pub fn read(
        start: NaiveDateTime,
        timezone: &str,
        rrule: Option<&str>,
        exdates: &[String],
        on_gap: OnGap,
    ) -> Result<Self, Error> {
        let tz = super::timezone(timezone)?;
        Self::new(start, tz, rrule, Exdates::parse(exdates, tz)?, on_gap)
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
        Ok(Self { start, tz, rule, exdates, on_gap })
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
                self.take(self.start, after, &mut found);
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
        let from = after.with_timezone(&self.tz).naive_local().checked_sub_days(MARGIN).unwrap_or(self.start);
        let mut floating = Floating::new(rule, self.start, self.exdates.days(), from);
        while !found.complete {
            let Some(local) = floating.next(steps)? else { break };
            if local >= from {
                self.take(local, after, found);
            }
        }
        Ok(())
    }

    /// Takes an occurrence that wall clocks name; those of a schedule come in order.
    fn take(&self, local: NaiveDateTime, after: DateTime<Utc>, found: &mut Found) {
        let meaning = self.tz.local(local);
        let at = meaning.instant();
        let clocks = match meaning {
            Local::Once(_) => None,
            Local::Twice(..) => Some(Clocks::FirstOfTwo),
            Local::Skipped(_) => Some(Clocks::Shifted),
        };
        let over = self.rule.as_ref().and_then(|rule| rule.until).is_some_and(|until| until.passed(at));
        if at <= after || over || self.leaves_out(local, at) {
            return;
        }
        if clocks != Some(Clocks::Shifted) {
            found.push(Occurrence { at, nominal: local, clocks });
        } else if self.on_gap == OnGap::Shift {
            found.push_shifted(Occurrence { at, nominal: local, clocks });
        } else {
            found.skipped.push((at, local));
        }
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

    /// The first `want` occurrences of a new reminder. The first of all fires at the instant that its start names; one up to
    /// [`GRACE`] in the past is bumped to the next full minute (R43).
    ///
    /// # Errors
    /// When the first occurrence is older, or there is none, or finding one, or counting to the last, costs too much.
    pub fn first(&self, start: Start, now: DateTime<Utc>, want: usize) -> Result<Following, Error> {
        let before = start.at.min(instant_of(start.local, self.tz)) - Duration::seconds(1);
        let mut following = self.following(before, want + 1)?;
        let Some(first) = following.occurrences.first_mut() else { return Err(self.why_none(before)) };
        self.check_count()?;
        if first.nominal == self.start && first.at < start.at {
            (first.at, first.clocks) = (start.at, Some(Clocks::SecondOfTwo));
        }
        if now - first.at > GRACE {
            let late = (now - first.at).num_minutes();
            let local = first.at.with_timezone(&self.tz).format("%Y-%m-%d %H:%M %Z");
            let message = format_args!("the first occurrence, {local}, is {late} minutes in the past");
            return Err(Error::new("start", message));
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
            let mut floating = Floating::new(rule, self.start, self.exdates.days(), self.start);
            while floating.next(&mut steps)?.is_some() {}
        }
        Ok(())
    }

    /// Why a schedule has no occurrence at all.
    fn why_none(&self, before: DateTime<Utc>) -> Error {
        let with_all = Self { exdates: Exdates::default(), on_gap: OnGap::Shift, ..self.clone() };
        let until = self.rule.as_ref().and_then(|rule| rule.until);
        let at = instant_of(self.start, self.tz);
        if let Some(until) = until.filter(|until| until.precedes(self.start, at)) {
            let (until, start) = (until.words(), self.start.format("%Y-%m-%d %H:%M"));
            Error::new(FIELD, format_args!("ends at {until}, before the start at {start}"))
        } else if !self.exdates.is_empty() && matches!(with_all.next_after(before), Ok(Some(_))) {
            Error::new("exdates", "leave no occurrence at all")
        } else if self.on_gap == OnGap::Skip && matches!(with_all.next_after(before), Ok(Some(_))) {
            Error::new("on_gap", "`skip` leaves no occurrence at all: clocks skip each")
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

/// What a search has found so far.
#[derive(Default)]
struct Found {
    want: usize,
    occurrences: BTreeMap<DateTime<Utc>, Occurrence>,
    skipped: Vec<(DateTime<Utc>, NaiveDateTime)>,
    complete: bool,
}

impl Found {
    /// An occurrence behind which only later instants come.
    fn push(&mut self, occurrence: Occurrence) {
        self.push_shifted(occurrence);
        self.complete = self.occurrences.range(..=occurrence.at).count() >= self.want;
    }

    /// An occurrence that was shifted: what comes after it may fire before it.
    fn push_shifted(&mut self, occurrence: Occurrence) {
        self.occurrences.entry(occurrence.at).or_insert(occurrence);
    }

    fn finish(self, steps: Steps) -> Following {
        let occurrences: Vec<_> = self.occurrences.into_values().take(self.want).collect();
        let last = occurrences.last().map(|last| last.at);
        let before_last = self.skipped.into_iter().filter(|(at, _)| last.is_none_or(|last| *at <= last));
        Following { occurrences, skipped: before_last.map(|(_, local)| local).collect(), steps: steps.taken() }
    }
}
