//! The output for the person at the terminal: one line for each step, with a mark and its duration.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;

const TURN: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// Runs a step. A terminal shows a running clock meanwhile; other outputs show only the result.
pub(crate) async fn step<T>(words: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let terminal = std::io::stdout().is_terminal();
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    let mut turn = 0;
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            _ = beat.tick(), if terminal => {
                print!("\r{} {words} … {:.0} s ", TURN[turn % TURN.len()], start.elapsed().as_secs_f32());
                let _ = std::io::stdout().flush();
                turn += 1;
            }
        }
    };
    let mark = if outcome.is_ok() { '✓' } else { '✗' };
    let clear = if terminal { "\r\x1b[2K" } else { "" };
    println!("{clear}{mark} {words}  ({})", seconds(start.elapsed()));
    outcome.with_context(|| format!("failed at: {words}"))
}

/// Prints a line that belongs to the step above it.
pub(crate) fn detail(words: &str) {
    for line in words.lines() {
        println!("    {line}");
    }
}

pub(crate) fn heading(words: &str) {
    println!("\n{words}");
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f32() {
        s if s < 1.0 => format!("{} ms", time.as_millis()),
        s if s < 10.0 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}
