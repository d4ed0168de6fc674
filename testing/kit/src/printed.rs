//! Files of the tree that are printed from the code.

use std::path::Path;

/// Holds such a file against what the code says; `path` is from the root. With `UPDATE` set it is written anew.
///
/// # Panics
/// When they differ, or the file can't be written.
#[expect(clippy::expect_used, clippy::disallowed_methods, reason = "for tests")]
pub fn printed(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, text).expect("the file can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is stale: `UPDATE=1 cargo test --workspace --all-features --test it` prints it anew"
    );
}
