//! What the program says of itself.

/// R06: it stands in the tree, so that a change is seen.
#[test]
fn the_help_stands_in_the_tree() {
    kit::printed_help("switchboard-chaos", env!("CARGO_BIN_EXE_switchboard-chaos"), &[&[]]);
}
