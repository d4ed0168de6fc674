//! Received messages of which nothing is stored.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Messages that were handled and have nothing to store, such as protocol traffic, until the library removes its copies.
#[derive(Debug, Default)]
pub(super) struct Nothing(Mutex<HashSet<String>>);

impl Nothing {
    /// Notes one.
    pub(super) fn note(&self, name: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// Takes those of `names` that were noted.
    pub(super) fn take(&self, names: &[String]) -> Vec<String> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().filter(|name| noted.remove(*name)).cloned().collect()
    }
}
