//! When Postgres and Redis last answered, for `/health`.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use process::clock;

/// The last answers that this replica saw; `None` if there was none yet.
#[derive(Debug, Default)]
pub struct LastSeen {
    postgres: Mutex<Option<DateTime<Utc>>>,
    redis: Mutex<Option<DateTime<Utc>>>,
}

impl LastSeen {
    /// Records whether Postgres has just answered. Returns when it last did.
    pub fn postgres(&self, answers: bool) -> Option<DateTime<Utc>> {
        note(&self.postgres, answers)
    }

    /// Records whether Redis has just answered. Returns when it last did.
    pub fn redis(&self, answers: bool) -> Option<DateTime<Utc>> {
        note(&self.redis, answers)
    }
}

fn note(seen: &Mutex<Option<DateTime<Utc>>>, answers: bool) -> Option<DateTime<Utc>> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if answers {
        *seen = Some(clock::now());
    }
    *seen
}
