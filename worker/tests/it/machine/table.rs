//! R28: the result of every pair of state and event, as a table for people: `table.txt` beside this file. It is
//! compared word by word, so that no rule changes unnoticed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;

fn purpose(purpose: &Purpose) -> &'static str {
    match purpose {
        Purpose::Pair(attempt) if attempt.gated => "pair at the gate",
        Purpose::Pair(_) => "pair",
        Purpose::FirstLogin => "first login",
        Purpose::Resume => "resume",
        Purpose::LogOut { end: End::Unlinked } => "unlink",
        Purpose::LogOut { .. } => "erase",
    }
}

fn at_gate(attempt: &Attempt) -> &'static str {
    if attempt.gated { " at the gate" } else { "" }
}

fn at(at: BootTime) -> String {
    format!("+{} s", at.since(NOW).as_secs())
}

fn of(state: &State) -> String {
    let name = state.name();
    match state {
        State::Opening { purpose: p, tries, until } => {
            let until = until.map(|until| format!(" until {}", at(until)));
            format!("{name} {} #{tries}{}", purpose(p), until.unwrap_or_default())
        }
        State::Pairing { shown, attempt, .. } => {
            let (by, gated) = (if attempt.code_for.is_some() { "code" } else { "qr" }, at_gate(attempt));
            format!("{name} by {by} shown {shown}{gated}")
        }
        State::Accepted { until } | State::Finishing { until } => format!("{name} until {}", at(*until)),
        State::Linking { tries } | State::Rechecking { tries } => format!("{name} #{tries}"),
        State::Online { tries, groups, .. } => {
            let groups = match groups {
                Groups::Known => "",
                Groups::Reading => " reading groups",
                Groups::ReadAgain => " reading groups twice",
            };
            format!("{name} #{tries}{groups}")
        }
        State::Backoff { until, purpose: p, tries } => format!("{name} {} #{tries} until {}", purpose(p), at(*until)),
        State::LoggingOut { end, .. } => format!("{name} then {end:?}"),
        State::Closing { then: After::End(end), .. } => format!("{name} then {end:?}"),
        State::Closing { then: After::Reopen { purpose: p, tries }, .. } => {
            format!("{name} then {} #{tries}", purpose(p))
        }
        State::Ended(end) => format!("{name} {end:?}"),
        State::Fresh => name.to_owned(),
    }
}

fn deed(action: &Action) -> String {
    match action {
        Action::Status { status, .. } => format!("Status {}", status.as_str()),
        Action::Restart { cause } => format!("Restart {}", cause.as_str()),
        Action::Unstable { restarts, .. } => format!("Unstable {restarts}"),
        Action::Recovered { restarts } => format!("Recovered {restarts}"),
        Action::GiveUp { step, reason } => {
            let gate = if reason.contains("asked for a passkey") { " at the gate" } else { "" };
            format!("GiveUp {}{gate}", step.as_str())
        }
        Action::ShowQr { number, .. } => format!("ShowQr {number}"),
        Action::Open { queue: true } => "Open in the queue".to_owned(),
        Action::Open { queue: false }
        | Action::Close
        | Action::Abort
        | Action::Logout
        | Action::Recheck
        | Action::AskCode { .. }
        | Action::Blame { .. }
        | Action::GiveUpMessage { .. }
        | Action::Advise(_)
        | Action::AnswerPasskey
        | Action::Accept { .. }
        | Action::Link(_)
        | Action::Scrub
        | Action::Remove
        | Action::Unlink { .. }
        | Action::SyncGroups
        | Action::StartSending
        | Action::StopSending
        | Action::Drain
        | Action::Unexpected(_) => format!("{action:?}").split([' ', '(', '{']).next().unwrap().to_owned(),
    }
}

pub(super) fn happening(event: &Event) -> String {
    match event {
        Event::Closed(reason) => format!("closed {}", reason.name()),
        Event::Linked(other) => format!("linked {}", if other.is_some() { "duplicate" } else { "free" }),
        Event::Row(row) => {
            let registered = if row.registered { "registered" } else { "unregistered" };
            let groups = if row.groups_wanted { " groups wanted" } else { "" };
            let passkey = if row.passkey_answered { " passkey answered" } else { "" };
            format!("row {:?} {} {registered}{groups}{passkey}", row.wanted, row.status.as_str()).to_lowercase()
        }
        Event::Stale(suspect) => {
            let beside = suspect.map(|message| if message.others.is_zero() { " by one" } else { " by one of many" });
            format!("stale{}", beside.unwrap_or_default())
        }
        Event::Waits(message) => {
            let beside = if message.others.is_zero() { "" } else { " as others do" };
            format!("one waits {} s{beside}", message.waited.as_secs())
        }
        Event::Blamed { times, .. } => format!("blamed #{times}"),
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap().to_lowercase(),
    }
}

/// One paragraph per state. Events with the same result are together. `tick` is listed before its time and at it.
fn table() -> String {
    let mut text = String::new();
    for state in every_state() {
        let mut same: Vec<(String, Vec<String>)> = Vec::new();
        let mut put = |name: String, (next, actions): (State, Vec<Action>)| {
            let deeds: Vec<String> = actions.iter().map(deed).collect();
            let nothing = next == state && deeds.is_empty();
            let line = if nothing { "-".to_owned() } else { format!("{} [{}]", of(&next), deeds.join(", ")) };
            match same.iter_mut().find(|(consequence, _)| *consequence == line) {
                Some((_, names)) => names.push(name),
                None => same.push((line, vec![name])),
            }
        };
        for event in every_event() {
            put(happening(&event), decide(state.clone(), event, NOW));
        }
        if let Some(due) = state.wakes_at() {
            // the result at the time at which it is due
            let (next, actions) = decide(state.clone(), Event::Tick, due);
            put(format!("tick when due ({})", at(due)), (next, actions));
        }
        writeln!(text, "== {}", of(&state)).unwrap();
        for (line, names) in same {
            writeln!(text, "{line}\n    {}", shortened(&names).join(", ")).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Rows with the same result for all statuses are named once.
fn shortened(names: &[String]) -> Vec<String> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut short = Vec::new();
    for name in names {
        let words: Vec<&str> = name.split(' ').collect();
        match words.as_slice() {
            ["row", wanted, status, registered] => {
                rows.entry(format!("row {wanted} {registered}")).or_default().push((*status).to_owned());
            }
            _ => short.push(name.clone()),
        }
    }
    for (row, statuses) in rows {
        let whole = statuses.len() == Status::ALL.len();
        short.push(format!("{row} ({})", if whole { "any status".to_owned() } else { statuses.join(" ") }));
    }
    short
}

/// R28: the table of every pair of state and event. After a change of a rule, read the new table, which this test
/// writes to the named file, and replace the old one with it.
#[test]
fn the_table_of_every_pair_is_as_agreed() {
    let (now, agreed) = (table(), include_str!("table.txt"));
    if now != agreed {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/table.txt");
        std::fs::write(path, &now).unwrap();
        let (line, (new, old)) =
            now.lines().zip(agreed.lines()).enumerate().find(|(_, (new, old))| new != old).unwrap_or((0, ("", "")));
        panic!("line {}: `{new}`, agreed was `{old}`; the whole new table: {path}", line + 1);
    }
}
