//! The states of a session, drawn from the machine: `docs/states/session.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::table::happening;
use super::*;

/// The label of an arrow: the kind of the event, without its data.
fn kind(event: &Event) -> String {
    match event {
        Event::Waits(_) => "no acknowledgement".to_owned(),
        _ => happening(event).split(' ').next().unwrap().to_owned(),
    }
}

/// R28: every arrow between the kinds of states of a session. `table.txt` has the details.
#[test]
fn the_states_of_a_session_are_drawn() {
    let mut arrows: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for state in every_state() {
        let mut put = |event: String, next: State| {
            if next.name() != state.name() {
                arrows.entry((state.name(), next.name())).or_default().insert(event);
            }
        };
        for event in every_event() {
            put(kind(&event), decide(state.clone(), event, NOW).0);
        }
        if let Some(due) = state.wakes_at() {
            put("its time is over".to_owned(), decide(state.clone(), Event::Tick, due).0);
        }
    }
    let mut text = "# The states of a session\n\nPrinted from the code by `worker machine::chart`; the test fails when they differ (`UPDATE=1` \
                    prints it anew). A session is a worker's work for one account under one claim. `row`: what the account's row says, read \
                    again after a bell. What exactly follows, and what is done, is the table in `worker/tests/it/machine/table.txt`.\n\n\
                    ```mermaid\nstateDiagram-v2\n    [*] --> fresh : a claim\n"
        .to_owned();
    for ((from, to), events) in arrows {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        writeln!(text, "    {from} --> {to} : {}", events.join(", ")).unwrap();
    }
    text.push_str("    ended --> [*]\n```\n");
    kit::printed("docs/states/session.md", &text);
}
