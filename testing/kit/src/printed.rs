//! Files of the source tree that are printed from the code.

use std::path::Path;
use std::process::{Command, Stdio};

/// Compares such a file with the text that the code prints. `path` starts at the root of the tree. If `UPDATE` is set,
/// writes the file instead.
///
/// # Panics
/// If they differ, or the file can't be written.
#[expect(clippy::expect_used, clippy::disallowed_methods, reason = "for tests")]
pub fn printed(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).expect("the folder can be made");
        }
        std::fs::write(&file, text).expect("the file can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is stale: `UPDATE=1 cargo test --workspace --all-features --test it` prints it anew"
    );
}

/// Compares `docs/cli/{name}.txt` with the help that the program prints, alone and after each of these subcommands.
///
/// # Panics
/// As [`printed`], or if the program can't be run or does not exit with 0.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn printed_help(name: &str, program: &str, words: &[&[&str]]) {
    let asked = words.iter().map(|words| {
        let mut command = Command::new(program);
        let done = command.args(*words).arg("--help").env_clear().stdin(Stdio::null()).output().expect("it can be run");
        assert!(done.status.success(), "{name} {words:?}: {done:?}");
        let said = String::from_utf8_lossy(&done.stdout);
        let said: Vec<&str> = said.lines().map(str::trim_end).collect();
        let line = [&[name], *words, &["--help"]].concat().join(" ");
        format!("$ {line}\n{}\n", said.join("\n").trim_end())
    });
    printed(&format!("docs/cli/{name}.txt"), &asked.collect::<Vec<_>>().join("\n"));
}
