//! The states of accounts, runs and reminders, drawn from the functions that decide them: `docs/states`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use domain::account::life as account;
use domain::reminder::life::{self, Ahead};
use domain::run::machine::{corrected, decide};
use domain::run::{Status, Tally};

use crate::accounts::{EVENTS, states};
use crate::lives::run_events;

/// Arrows: from, to, and what leads there.
type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// A page with a state diagram of Mermaid, which GitHub and GitLab draw.
fn page(title: &str, about: &str, test: &str, begin: &[(&str, &str)], arrows: &Arrows) -> String {
    format!(
        "# {title}\n\nPrinted from the code by `{test}`; the test fails when they differ (`UPDATE=1` prints it anew). {about}\n\n{}",
        diagram(begin, arrows)
    )
}

fn diagram(begin: &[(&str, &str)], arrows: &Arrows) -> String {
    let mut text = "```mermaid\nstateDiagram-v2\n".to_owned();
    for (to, why) in begin {
        writeln!(text, "    [*] --> {to} : {why}").unwrap();
    }
    for ((from, to), events) in arrows {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        writeln!(text, "    {from} --> {to} : {}", events.join(", ")).unwrap();
    }
    text.push_str("```\n");
    text
}

fn word(of: impl Debug) -> String {
    format!("{of:?}").to_lowercase()
}

/// R45, R46, R48, R49: every arrow between the states of a run.
#[test]
fn the_states_of_a_run_are_drawn() {
    let mut arrows = Arrows::new();
    for status in Status::ALL {
        for resumed in [false, true] {
            for (event, told) in run_events() {
                if let Some(step) = decide(status, told, resumed) {
                    let event = event.split(':').next().unwrap().to_owned();
                    arrows.entry((word(status), word(step.status))).or_default().insert(event);
                }
            }
        }
        for (sent, failed, skipped, left) in [(2, 0, 0, true), (1, 1, 0, true), (0, 1, 1, true), (0, 2, 0, false)] {
            if let Some(to) = corrected(status, Tally { pending: 0, sent, failed, skipped }, left)
                && to != status
            {
                let event = "corrected by later acknowledgements".to_owned();
                arrows.entry((word(status), word(to))).or_default().insert(event);
            }
        }
    }
    let about = "`closed`: its delivery window. `superseded`: its reminder was edited or deleted. `settled`: all its messages have an end.";
    let begin = [("pending", "an occurrence fires"), ("missed", "it came too late")];
    kit::printed("docs/states/run.md", &page("The states of a run", about, "domain charts", &begin, &arrows));
}

/// R44, R46, R48, R49: every arrow between the states of a reminder.
#[test]
fn the_states_of_a_reminder_are_drawn() {
    use life::Event::{Edited, Fired, Paused, Resumed, RunOver, WindowClosed};
    let mut arrows = Arrows::new();
    for status in life::Status::ALL {
        for by_tenant in [false, true] {
            for (event, words) in [
                (Fired, "fired"),
                (Edited, "edited"),
                (Paused, "paused"),
                (Resumed, "resumed"),
                (WindowClosed, "window closed on a run"),
                (RunOver, "that run is over"),
            ] {
                for (ahead, then) in [
                    (Ahead::Next, ""),
                    (Ahead::Nothing, " for the last time"),
                    (Ahead::Broken, ", and can't be computed"),
                ] {
                    let Some(state) = life::decide(life::State { status, by_tenant }, event, ahead) else { continue };
                    let depends = [Ahead::Next, Ahead::Nothing, Ahead::Broken]
                        .iter()
                        .any(|other| life::decide(life::State { status, by_tenant }, event, *other) != Some(state));
                    let event = if depends { format!("{words}{then}") } else { words.to_owned() };
                    arrows.entry((word(status), word(state.status))).or_default().insert(event);
                }
            }
        }
    }
    let about = "A reminder that its tenant paused is not lifted by the end of a run.";
    kit::printed(
        "docs/states/reminder.md",
        &page("The states of a reminder", about, "domain charts", &[("active", "created")], &arrows),
    );
}

/// R11, R12, R14, R20, R29, R90, R91: every arrow between what an account is, and between what it should be.
#[test]
fn the_states_of_an_account_are_drawn() {
    let (mut statuses, mut wishes) = (Arrows::new(), Arrows::new());
    let draw = |arrows: &mut Arrows, from: &str, to: &str, event: &str| {
        arrows.entry((from.to_owned(), to.to_owned())).or_default().insert(event.to_owned());
    };
    for state in states() {
        for (name, event) in EVENTS {
            let (status, wanted) = (state.status.as_str(), state.wanted.as_str());
            match account::decide(state, event) {
                Ok(account::Step::Becomes(to)) => {
                    if to.status != state.status || event == account::Event::Pair {
                        draw(&mut statuses, status, to.status.as_str(), name);
                    }
                    if to.wanted != state.wanted {
                        draw(&mut wishes, wanted, to.wanted.as_str(), name);
                    }
                }
                Ok(account::Step::Gone) => draw(&mut wishes, wanted, "[*]", name),
                Ok(account::Step::Stays) | Err(_) => {}
            }
        }
    }
    let about = "What requests, duties and the steps of a pairing make of an account. What else its session says of its connection \
        follows from [its machine](session.md).\n\nWhat it is:";
    let text = page("The states of an account", about, "domain charts", &[("unpaired", "created")], &statuses);
    let wishes = diagram(&[("offline", "created")], &wishes);
    kit::printed("docs/states/account.md", &format!("{text}\nWhat it should be:\n\n{wishes}"));
}
