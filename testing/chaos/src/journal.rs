//! What was done to the cluster, and when. It is printed as it happens, and the checker looks in it for excuses.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Something with a beginning and an end, in Unix microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) from_us: u64,
    /// `u64::MAX` until it ends.
    pub(crate) until_us: u64,
    pub(crate) what: What,
}

/// The events that the checker needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// This boot of a worker was frozen.
    Frozen(String),
    /// The connection from this part to WhatsApp was silent. Sockets that the part closed looked open to WhatsApp.
    Silent(String),
    /// This boot of a worker was told to stop (`asked`) or killed. Its sockets are closed when it has ended.
    Ended { boot: String, asked: bool },
    /// WhatsApp neither read from nor wrote to the sockets of this number.
    Silenced(String),
    /// A process ended by itself. Holds a description.
    Died(String),
    /// A fault of the plan could not be injected. Holds a description.
    NotInjected(String),
}

/// Whether `boot` is a boot of `part`, as `worker-1.3` is of `worker-1`.
pub(crate) fn is_of(boot: &str, part: &str) -> bool {
    boot.split_once('.').is_some_and(|(name, _)| name == part)
}

/// The journal of a run.
pub(crate) struct Journal {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
}

/// The wall clock in Unix microseconds. The simulator's times come from the same clock.
pub(crate) fn now_us() -> u64 {
    u64::try_from(process::clock::now().timestamp_micros()).unwrap_or(0)
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), entries: Mutex::default() }
    }

    /// Prints a line.
    pub(crate) fn say(&self, words: impl std::fmt::Display) {
        println!("[{:>7.1} s] {words}", self.start.elapsed().as_secs_f64());
    }

    /// Records that something begins. Returns the number for [`Journal::end`].
    pub(crate) fn begin(&self, what: What) -> usize {
        self.begun(now_us(), what)
    }

    /// As [`Journal::begin`], for something that began at this time.
    pub(crate) fn begun(&self, from_us: u64, what: What) -> usize {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { from_us, until_us: u64::MAX, what });
        entries.len() - 1
    }

    /// Records something that has no duration.
    pub(crate) fn note(&self, what: What) {
        let entry = self.begin(what);
        self.end(entry);
    }

    /// Records the end of an entry.
    pub(crate) fn end(&self, entry: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(entry) {
            entry.until_us = now_us();
        }
    }

    /// All entries.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
