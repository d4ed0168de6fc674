//! What was accepted and refused. The load writes it, and the checker compares it with the evidence.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// A message that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) sender: String,
    pub(crate) text: String,
    /// Its number within its chat.
    pub(crate) n: u64,
    pub(crate) readers: Vec<String>,
}

/// A reminder that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promised {
    /// Its name, which is also its text.
    pub(crate) name: String,
    pub(crate) readers: Vec<String>,
}

/// A recurring reminder that was answered with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recurring {
    pub(crate) id: String,
    /// Its name, which is also its text.
    pub(crate) name: String,
    pub(crate) readers: Vec<String>,
    /// All times at which it must fire.
    pub(crate) due: Vec<DateTime<Utc>>,
}

/// What was accepted, and what went wrong.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ledger {
    pub(crate) sent: Vec<Sent>,
    pub(crate) promised: Vec<Promised>,
    pub(crate) recurring: Vec<Recurring>,
    /// Texts that phones wrote to accounts.
    pub(crate) written: Vec<String>,
    /// The number of requests of which it is unknown whether they were accepted.
    pub(crate) open: u64,
    /// The status that each fickle account should have at the end, by id.
    pub(crate) fickle: Vec<(String, &'static str)>,
    /// The number of times that an account was unpaired, logged out or replaced, and paired again.
    pub(crate) churned: u64,
    /// Descriptions of statuses that differ from what the request before had set.
    pub(crate) wrong: Vec<String>,
    /// Descriptions of valid requests that were refused.
    pub(crate) refused: Vec<String>,
    /// Descriptions of parts of the load that failed.
    pub(crate) broken: Vec<String>,
}

/// The shared ledger.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Ledger>>);

impl Book {
    /// Changes the ledger.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Ledger)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of the current ledger.
    pub(crate) fn read(&self) -> Ledger {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
