//! The registry of events and its documentation.

use common::event::table;

/// R98: the documentation of the events is the registry. `UPDATE=1` prints it anew.
#[test]
fn the_documentation_is_the_registry() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");
    let printed = table::markdown();
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(path, &printed).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == printed, "docs/events.md differs from the registry: print it anew with UPDATE=1");
}
