//! What was accepted, and what was refused: the side of the checker's comparison that the load writes.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// A message that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sender: String,
    pub(crate) text: String,
    /// Place within its chat.
    pub(crate) n: u64,
    pub(crate) readers: Vec<String>,
}

/// A reminder that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promised {
    /// Its name, and its text.
    pub(crate) name: String,
    pub(crate) readers: Vec<String>,
}

/// A reminder that repeats, and was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recurring {
    pub(crate) id: String,
    /// Its name, and its text.
    pub(crate) name: String,
    pub(crate) readers: Vec<String>,
    /// Every time at which it must fire.
    pub(crate) due: Vec<DateTime<Utc>>,
}

/// What was accepted, and what went wrong with it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ledger {
    pub(crate) sent: Vec<Sent>,
    pub(crate) promised: Vec<Promised>,
    pub(crate) recurring: Vec<Recurring>,
    /// Texts that phones wrote to accounts.
    pub(crate) written: Vec<String>,
    /// Requests of which nobody knows whether they were accepted.
    pub(crate) open: u64,
    /// What each fickle account should be at the end, by id.
    pub(crate) fickle: Vec<(String, &'static str)>,
    /// Unpairs, logouts and pairings that were carried through.
    pub(crate) churned: u64,
    /// Statuses that were not what the request before had made them, in words.
    pub(crate) wrong: Vec<String>,
    /// Requests that were right and were refused, in words.
    pub(crate) refused: Vec<String>,
    /// Parts of the load that broke, in words.
    pub(crate) broken: Vec<String>,
}

/// The ledger, shared.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Ledger>>);

impl Book {
    /// Writes something down.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Ledger)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What it holds now.
    pub(crate) fn read(&self) -> Ledger {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
