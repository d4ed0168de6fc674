//! Pure. A recurrence in words (R42): "Every Mon, Wed, Fri", "Every 2 weeks until 2027-01-01".

use super::recurrence::{End, Kind, Recurrence, Weekday};

/// The words for a stored rule; a rule that no structured spec says is quoted.
#[must_use]
pub fn of_rrule(rrule: Option<&str>) -> String {
    match (Recurrence::from_rrule(rrule), rrule) {
        (Some(spec), _) => of(&spec),
        (None, Some(rrule)) => format!("Custom: {rrule}"),
        (None, None) => "Once".to_owned(),
    }
}

/// The words for a structured spec.
#[must_use]
pub fn of(spec: &Recurrence) -> String {
    let mut words = match spec.kind {
        Kind::None => return "Once".to_owned(),
        Kind::Daily => every(spec.interval, "day"),
        Kind::Weekly => weekly(spec),
        Kind::Monthly => every(spec.interval, "month"),
        Kind::Yearly => every(spec.interval, "year"),
    };
    match spec.month_day {
        Some(-1) => words.push_str(" on the last day"),
        Some(day) => words.push_str(&format!(" on day {day}")),
        None => {}
    }
    match spec.end {
        End::Never => {}
        End::After(1) => words.push_str(", once"),
        End::After(count) => words.push_str(&format!(", {count} times")),
        End::Until(date) => words.push_str(&format!(" until {date}")),
    }
    words
}

fn weekly(spec: &Recurrence) -> String {
    let days: Vec<_> = spec.weekdays.iter().map(|day| name(*day)).collect();
    match (spec.interval, days.as_slice()) {
        (_, []) => every(spec.interval, "week"),
        (1, days) => format!("Every {}", days.join(", ")),
        (_, days) => format!("{} on {}", every(spec.interval, "week"), days.join(", ")),
    }
}

fn every(interval: u32, unit: &str) -> String {
    if interval == 1 { format!("Every {unit}") } else { format!("Every {interval} {unit}s") }
}

fn name(day: Weekday) -> &'static str {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][day as usize]
}
