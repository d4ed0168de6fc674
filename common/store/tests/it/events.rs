//! The registry of events and its documentation.

use domain::event::table;
use kit::printed;

/// R98: the documentation of the events is printed from the registry. `UPDATE=1` prints it anew.
#[test]
fn the_documentation_is_the_registry() {
    printed("docs/events.md", &table::markdown());
}
