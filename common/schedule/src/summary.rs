//! Pure. A recurrence in words: "Every Mon, Wed, Fri", "Every 2 weeks until 2027-01-01", "On the second Monday of every
//! month". A summary contains every part of an accepted rule.

use super::rule::{Day, Freq, Rule};
use super::words::{hours, list, months, nth, numbers, weekday};

/// The summary of a stored rule.
#[must_use]
pub fn of_rrule(rrule: Option<&str>) -> String {
    of_stored(rrule, &[])
}

/// Like [`of_rrule`], with times of day, in minutes from midnight, that the rule does not contain.
#[must_use]
pub fn of_stored(rrule: Option<&str>, times: &[i16]) -> String {
    match rrule.map(|text| (Rule::parse(text), text)) {
        None => "Once".to_owned(),
        Some((Ok(rule), _)) if times.is_empty() => of(&rule),
        Some((Ok(rule), _)) => {
            let times = times.iter().map(|minutes| format!("{:02}:{:02}", minutes / 60, minutes % 60));
            let (before, end) = of_parts(&rule);
            format!("{before} at {}{end}", list(times))
        }
        Some((Err(_), text)) => format!("Custom: {text}"),
    }
}

fn of(rule: &Rule) -> String {
    let (mut words, end) = of_parts(rule);
    words.push_str(&end);
    words
}

/// The summary without the end of the rule, and the end.
fn of_parts(rule: &Rule) -> (String, String) {
    let mut words = on_which_days(rule);
    words.push_str(&at_which_times(rule));
    if let Some(second) = rule.second.filter(|second| *second != 0) {
        words.push_str(&format!(" at second {second}"));
    }
    if !rule.positions.is_empty() {
        let places = rule.positions.iter().map(|position| nth((*position).into()));
        words.push_str(&format!(", only the {} of them", list(places)));
    }
    let mut end = match rule.count {
        None => String::new(),
        Some(1) => ", once".to_owned(),
        Some(count) => format!(", {count} times"),
    };
    if let Some(until) = rule.until {
        end.push_str(&format!(" until {}", until.words()));
    }
    (words, end)
}

fn on_which_days(rule: &Rule) -> String {
    let unit = match rule.freq {
        Freq::Minutely => "minute",
        Freq::Hourly => "hour",
        Freq::Daily => "day",
        Freq::Weekly => "week",
        Freq::Monthly => "month",
        Freq::Yearly => "year",
    };
    let every = match rule.interval {
        1 => format!("every {unit}"),
        interval => format!("every {interval} {unit}s"),
    };
    let (each, numbered): (Vec<&Day>, Vec<&Day>) = rule.days.iter().partition(|day| day.nth == 0);
    let each = list(each.iter().map(|day| weekday(day.weekday, false).to_owned()));
    let numbered = list(numbered.iter().map(|day| format!("{} {}", nth(day.nth.into()), weekday(day.weekday, true))));
    let weekly = rule.freq == Freq::Weekly && rule.interval == 1 && !each.is_empty();
    let of_month = rule.freq >= Freq::Monthly && each.is_empty() && rule.month_days.is_empty();
    let mut words = if weekly {
        format!("Every {each}")
    } else if of_month && !numbered.is_empty() {
        format!("On the {numbered} of {every}")
    } else {
        let mut words = format!("E{}", every.strip_prefix('e').unwrap_or(&every));
        if !each.is_empty() {
            words.push_str(&format!(" on {each}"));
        }
        if !numbered.is_empty() {
            words.push_str(&format!(" on the {numbered}"));
        }
        words
    };
    if !rule.month_days.is_empty() {
        let only = if rule.days.is_empty() { " on" } else { ", only on" };
        words.push_str(&format!("{only} {}", days_of_month(&rule.month_days)));
    }
    if !rule.year_days.is_empty() {
        let days = rule.year_days.iter().map(|day| match day {
            1.. => format!("day {day}"),
            _ => format!("the {} day", nth((*day).into())),
        });
        words.push_str(&format!(" on {} of the year", list(days)));
    }
    if !rule.weeks.is_empty() {
        let weeks = rule.weeks.iter().map(|week| match week {
            1.. => format!("week {week}"),
            _ => format!("the {} week", nth((*week).into())),
        });
        words.push_str(&format!(" in {}", list(weeks)));
    }
    if !rule.months.is_empty() {
        words.push_str(&format!(" in {}", months(&rule.months)));
    }
    words
}

fn days_of_month(days: &[i8]) -> String {
    let forward: Vec<u32> = days.iter().filter(|day| **day > 0).map(|day| day.unsigned_abs().into()).collect();
    let back = days.iter().filter(|day| **day < 0).rev();
    let mut parts = Vec::new();
    if !forward.is_empty() {
        parts.push(format!("day {}", numbers(&forward)));
    }
    parts.extend(back.map(|day| format!("the {} day", nth((*day).into()))));
    list(parts.into_iter())
}

fn at_which_times(rule: &Rule) -> String {
    match (rule.hours.as_slice(), rule.minutes.as_slice()) {
        ([], []) => String::new(),
        ([], minutes) => format!(" at minute {}", numbers(minutes)),
        (wanted, []) => format!(" in {}", hours(wanted)),
        (wanted, minutes) if wanted.len() * minutes.len() <= 6 => {
            let times =
                wanted.iter().flat_map(|hour| minutes.iter().map(move |minute| format!("{hour:02}:{minute:02}")));
            format!(" at {}", list(times))
        }
        (wanted, minutes) => format!(" at minute {} in {}", numbers(minutes), hours(wanted)),
    }
}
