//! The start of a process: it serves health at once, and logs in one line what it waits for. `store::startup` waits for
//! Postgres.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::BootTime;
use crate::ops::{Pulse, ReadyCheck};
use crate::trouble::{Say, Teller, Trouble};

/// The wait after the first failed attempt. It doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest wait between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The answer of readiness: first what the start waits for, then the process's own check.
#[derive(Clone)]
pub struct Readiness(Arc<RwLock<Phase>>);

enum Phase {
    Starting(String),
    Up(ReadyCheck),
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Phase::Starting("just begun".to_owned()))))
    }
}

impl Readiness {
    /// Sets what the start waits for.
    pub fn waits_for(&self, what: impl fmt::Display) {
        self.set(Phase::Starting(what.to_string()));
    }

    /// The start is over. From now on this check decides.
    pub fn up(&self, check: ReadyCheck) {
        self.set(Phase::Up(check));
    }

    fn set(&self, phase: Phase) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// The check for [`crate::ops::serve`].
    #[must_use]
    pub fn check(&self) -> ReadyCheck {
        let phase = Arc::clone(&self.0);
        Arc::new(move || -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
            match &*phase.read().unwrap_or_else(PoisonError::into_inner) {
                Phase::Starting(what) => {
                    let says = format!("starting: {what}");
                    Box::pin(async move { Err(says) })
                }
                Phase::Up(check) => check(),
            }
        })
    }
}

/// A start in progress.
pub struct Startup {
    who: &'static str,
    pulse: Pulse,
    readiness: Readiness,
    stop: CancellationToken,
    began: BootTime,
    teller: Teller,
    pause: Duration,
}

impl Startup {
    /// The start of `who` (`api`, `worker`, `scheduler`). Cancelling `stop` ends it.
    #[must_use]
    pub fn new(who: &'static str, pulse: Pulse, readiness: Readiness, stop: CancellationToken) -> Self {
        let (began, teller) = (BootTime::now(), Teller::default());
        Self { who, pulse, readiness, stop, began, teller, pause: PAUSE_MIN }
    }

    /// The name of the process that starts.
    #[must_use]
    pub const fn who(&self) -> &'static str {
        self.who
    }

    /// The token that ends the waiting.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Handles a failure that may pass: logs it if that is due, and waits. Returns `None` if a stop was requested.
    pub async fn again(&mut self, trouble: &Trouble) -> Option<()> {
        self.pulse.beat();
        self.readiness.waits_for(trouble);
        if self.teller.look(Some(trouble), BootTime::now().since(self.began)) == Say::Wrong {
            tracing::error!(kind = trouble.kind, "not started yet: {trouble}");
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await
    }

    /// The start is over. From now on this check decides about readiness.
    pub fn up(mut self, check: ReadyCheck) {
        let waited = BootTime::now().since(self.began);
        if self.teller.look(None, waited) == Say::Mended {
            tracing::info!(after_s = waited.as_secs(), "nothing is missing any more");
        }
        self.pulse.beat();
        self.readiness.up(check);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_says_what_the_start_waits_for() {
        let readiness = Readiness::default();
        let check = readiness.check();
        assert_eq!(check().await, Err("starting: just begun".to_owned()));
        readiness.waits_for("Postgres");
        assert_eq!(check().await, Err("starting: Postgres".to_owned()));
        readiness.up(Arc::new(|| Box::pin(async { Ok(()) })));
        assert_eq!(check().await, Ok(()));
    }
}
