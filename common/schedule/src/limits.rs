//! Pure. Limits of the rules that are accepted: only combinations that RFC 5545 gives a meaning to (section 3.3.10),
//! nothing more often than every five minutes, and no days that never exist.
//!
//! The cost of expanding a rule is not estimated here. It is counted: see [`super::steps`].

use super::error::Error;
use super::rule::{Freq, Rule, bad};

/// The smallest number of minutes between two occurrences.
const FLOOR: u32 = 5;

impl Rule {
    /// Checks all limits.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.count.is_some() && self.until.is_some() {
            return Err(bad("has both COUNT and UNTIL"));
        }
        self.check_floor()?;
        self.check_days()?;
        if !self.positions.is_empty() && !self.has_by() {
            return Err(bad("BYSETPOS needs another BY part to choose from"));
        }
        self.check_days_exist()
    }

    /// Checks that the rule does not fire more often than every [`FLOOR`] minutes.
    fn check_floor(&self) -> Result<(), Error> {
        if self.freq == Freq::Minutely {
            let enough = self.interval >= FLOOR;
            let message =
                format_args!("INTERVAL must be at least {FLOOR} with FREQ=MINUTELY: nothing fires more often");
            return if enough { Ok(()) } else { Err(bad(message)) };
        }
        // compares the last minute of an hour with the first of the next hour, too
        let next = self.minutes.iter().skip(1).copied().chain(self.minutes.first().map(|first| first + 60));
        let close = self.minutes.len() > 1 && self.minutes.iter().zip(next).any(|(minute, next)| next - minute < FLOOR);
        if close {
            return Err(bad(format_args!("BYMINUTE must leave {FLOOR} minutes between two: nothing fires more often")));
        }
        Ok(())
    }

    /// Checks that the parts that select days go with the frequency and with each other.
    fn check_days(&self) -> Result<(), Error> {
        let yearly = self.freq == Freq::Yearly;
        if !self.month_days.is_empty() && self.freq == Freq::Weekly {
            return Err(bad("BYMONTHDAY does not go with FREQ=WEEKLY"));
        }
        if !self.year_days.is_empty() && !yearly && !self.freq.is_real_time() {
            return Err(bad("BYYEARDAY only goes with FREQ=YEARLY, HOURLY or MINUTELY"));
        }
        let numbered = self.days.iter().map(|day| day.nth.unsigned_abs()).max().unwrap_or(0);
        if numbered > 0 && self.freq < Freq::Monthly {
            return Err(bad("numbered days such as 2MO only go with FREQ=MONTHLY or YEARLY"));
        }
        if numbered > 5 && (!yearly || !self.months.is_empty()) {
            return Err(bad("BYDAY counts up to 5 within a month"));
        }
        if !self.weeks.is_empty() {
            if !yearly {
                return Err(bad("BYWEEKNO only goes with FREQ=YEARLY"));
            }
            if numbered > 0 {
                return Err(bad("BYWEEKNO goes with days of the week such as MO, without numbers"));
            }
        }
        Ok(())
    }

    /// Refuses days that no year has, such as 30 February.
    fn check_days_exist(&self) -> Result<(), Error> {
        if self.months.is_empty() || self.month_days.is_empty() {
            return Ok(());
        }
        let longest = self.months.iter().map(|month| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        });
        let longest = longest.max().unwrap_or(31);
        let possible = self.month_days.iter().any(|day| day.unsigned_abs() <= longest);
        if possible { Ok(()) } else { Err(bad("BYMONTHDAY names a day that the months of BYMONTH never have")) }
    }

    fn has_by(&self) -> bool {
        let numbers = [&self.hours, &self.minutes, &self.months];
        !self.days.is_empty()
            || !self.month_days.is_empty()
            || !self.weeks.is_empty()
            || !self.year_days.is_empty()
            || self.second.is_some()
            || numbers.iter().any(|values| !values.is_empty())
    }
}
