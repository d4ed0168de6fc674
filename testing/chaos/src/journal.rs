//! What was done to the cluster, and when: printed as it happens, and asked by the checker for excuses.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Something with a beginning and an end, in unix microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) from_us: u64,
    /// `u64::MAX` while it lasts.
    pub(crate) until_us: u64,
    pub(crate) what: What,
}

/// What the checker must know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// This boot of a worker was frozen.
    Frozen(String),
    /// The line from this part to WhatsApp was silent: what it closed looked open to WhatsApp.
    Silent(String),
    /// This boot of a worker was killed (`asked`: told to stop). It holds no connection when it has ended.
    Ended { boot: String, asked: bool },
    /// WhatsApp neither read from nor wrote to the sockets of this number.
    Silenced(String),
    /// A process ended by itself, in words.
    Died(String),
    /// A fault of the plan could not be carried out, in words.
    NotInjected(String),
}

/// Whether `worker-1.3` is a boot of `worker-1`.
pub(crate) fn is_of(boot: &str, part: &str) -> bool {
    boot.split_once('.').is_some_and(|(name, _)| name == part)
}

/// The journal of a run.
pub(crate) struct Journal {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
}

/// The wall clock, which the simulator stamps by, too.
pub(crate) fn now_us() -> u64 {
    u64::try_from(process::clock::now().timestamp_micros()).unwrap_or(0)
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), entries: Mutex::default() }
    }

    /// Tells whoever watches.
    pub(crate) fn say(&self, words: impl std::fmt::Display) {
        println!("[{:>7.1} s] {words}", self.start.elapsed().as_secs_f64());
    }

    /// Something begins; the answer ends it.
    pub(crate) fn begin(&self, what: What) -> usize {
        self.begun(now_us(), what)
    }

    /// Something has begun then; the answer ends it.
    pub(crate) fn begun(&self, from_us: u64, what: What) -> usize {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(Entry { from_us, until_us: u64::MAX, what });
        entries.len() - 1
    }

    /// Something has happened.
    pub(crate) fn note(&self, what: What) {
        let entry = self.begin(what);
        self.end(entry);
    }

    /// It has ended.
    pub(crate) fn end(&self, entry: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(entry) {
            entry.until_us = now_us();
        }
    }

    /// All of it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
