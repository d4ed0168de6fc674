//! Pure. Reads a rule as people paste it: alone, after `RRULE:`, or in a block of lines with DTSTART (RFC 5545, section
//! 3.8.5.3).

use chrono::NaiveDateTime;

use super::error::Error;
use super::recurrence::accept_rrule;
use super::rule::bad;
use super::start::Start;
use crate::zone::Tz;

/// Lines that calendars write around a rule. They say nothing about the time and are ignored.
const AROUND: [&str; 4] = ["BEGIN", "END", "SUMMARY", "DESCRIPTION"];

/// Reads a rule, or a block with one rule, and returns its stored form. A DTSTART in the block must agree with `start`
/// and `tz`.
///
/// # Errors
/// If the rule or another line is not accepted. The message says what to leave out and where to give it instead.
pub(super) fn accept(raw: &str, start: Start, tz: Tz) -> Result<String, Error> {
    let text = raw.replace("\r\n", "\n").replace("\\n", "\n").replace("\n ", "").replace("\n\t", "");
    let lines: Vec<&str> = text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_rule = |line: &str| {
        let line = line.to_ascii_uppercase();
        line.starts_with("RRULE:") || line.starts_with("RRULE;") || !line.contains(':')
    };
    let mut rule = None;
    for line in &lines {
        if is_rule(line) {
            if rule.replace(*line).is_some() {
                return Err(bad("has more than one rule: make a reminder of each"));
            }
        } else {
            check(line, start, tz)?;
        }
    }
    match rule {
        Some(rule) => accept_rrule(rule, tz),
        None if lines.is_empty() => accept_rrule("", tz),
        None => Err(bad("has no rule: a line such as RRULE:FREQ=DAILY is missing")),
    }
}

/// Checks a line other than the rule.
fn check(line: &str, start: Start, tz: Tz) -> Result<(), Error> {
    let (head, value) = line.split_once(':').unwrap_or((line, ""));
    let mut parameters = head.split(';');
    let name = parameters.next().unwrap_or_default().trim().to_ascii_uppercase();
    match name.as_str() {
        "DTSTART" => {
            let zone = parameters.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("TZID").then(|| value.trim().trim_matches('"').to_owned())
            });
            let same_zone = zone.as_deref().is_none_or(|zone| zone == tz.name());
            if same_zone && says(value.trim(), start) {
                Ok(())
            } else {
                Err(other_start(value.trim(), zone.as_deref()))
            }
        }
        "EXDATE" => Err(bad("has a line EXDATE: leave it out, and give its dates as `exdates`")),
        "RDATE" => Err(bad("has a line RDATE: leave it out; dates beside a rule are reminders of their own")),
        "DTEND" | "DURATION" => Err(bad(format_args!("has a line {name}: leave it out; a reminder has no length"))),
        "EXRULE" => Err(bad("has a line EXRULE: leave it out; RFC 5545 has none any more")),
        _ if AROUND.contains(&name.as_str()) => Ok(()),
        _ => {
            let name: String = name.chars().take(20).collect();
            Err(bad(format_args!("has a line {name}: leave it out; only RRULE and DTSTART are read")))
        }
    }
}

/// Whether the value of a DTSTART equals the start, given as wall-clock time or as an instant in UTC.
fn says(value: &str, start: Start) -> bool {
    let read = |text: &str| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok();
    match value.strip_suffix('Z') {
        Some(utc) => read(utc).map(|utc| utc.and_utc()) == Some(start.at),
        None => read(value) == Some(start.local),
    }
}

fn other_start(value: &str, zone: Option<&str>) -> Error {
    let value: String = value.chars().take(20).collect();
    let zone: String =
        zone.map(|zone| format!(" in {}", zone.chars().take(40).collect::<String>())).unwrap_or_default();
    bad(format_args!(
        "has DTSTART {value}{zone}, and `start` and `timezone` say something else: leave the line DTSTART out, or give that as `start` and `timezone`"
    ))
}
