//! When Postgres and Redis last answered, for `/health`.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use process::clock;

/// The last answers that this replica saw; none: it has not asked yet, or there was none.
#[derive(Debug, Default)]
pub struct LastSeen {
    postgres: Mutex<Option<DateTime<Utc>>>,
    redis: Mutex<Option<DateTime<Utc>>>,
}

impl LastSeen {
    /// Notes whether Postgres answered just now; answers when it did last.
    pub fn postgres(&self, answers: bool) -> Option<DateTime<Utc>> {
        note(&self.postgres, answers)
    }

    /// The same of Redis.
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
