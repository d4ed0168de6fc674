//! How many sessions are in each state, and the total time they spend there. The time is computed as the integral of
//! the number, so that no session has to keep its own time, and a long stay in a state shows while it lasts.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::labels::SessionState;
use super::page::{SESSION_STATE_SECONDS, SESSIONS, SESSIONS_UNSTABLE};

const STATES: usize = SessionState::ALL.len();

struct Occupancy {
    here: [u32; STATES],
    until: Instant,
}

static OCCUPANCY: LazyLock<Mutex<Occupancy>> =
    LazyLock::new(|| Mutex::new(Occupancy { here: [0; STATES], until: Instant::now() }));

fn occupancy() -> MutexGuard<'static, Occupancy> {
    OCCUPANCY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Occupancy {
    /// Adds the time since the last call.
    fn reckon(&mut self) {
        let now = Instant::now();
        let seconds = now.duration_since(self.until).as_secs_f64();
        self.until = now;
        for (state, here) in SessionState::ALL.iter().zip(self.here).filter(|(_, here)| *here > 0) {
            SESSION_STATE_SECONDS.of(*state).inc_by(seconds * f64::from(here));
        }
    }

    fn set(&mut self, state: SessionState, here: u32) {
        self.here[state as usize] = here;
        SESSIONS.of(state).set(f64::from(here));
    }
}

/// Brings the metrics up to date.
pub(super) fn look() {
    occupancy().reckon();
}

/// One counted session. When this is dropped, the session is no longer counted.
#[derive(Debug)]
pub struct Held {
    state: Option<SessionState>,
    unstable: bool,
}

impl Held {
    /// Starts to count a session.
    #[must_use]
    pub fn begins(state: SessionState) -> Self {
        let mut held = Self { state: None, unstable: false };
        held.moved(Some(state));
        held
    }

    /// The session changed its state; `None` if it has ended.
    pub fn moved(&mut self, to: Option<SessionState>) {
        if self.state == to {
            return;
        }
        let mut all = occupancy();
        all.reckon();
        if let Some(before) = self.state {
            let here = all.here[before as usize];
            all.set(before, here.saturating_sub(1));
        }
        if let Some(now) = to {
            let here = all.here[now as usize];
            all.set(now, here + 1);
        }
        self.state = to;
    }

    /// Whether the session's connection was restarted many times in a row.
    pub fn is_unstable(&mut self, unstable: bool) {
        if self.unstable != unstable {
            SESSIONS_UNSTABLE.add(if unstable { 1.0 } else { -1.0 });
            self.unstable = unstable;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.moved(None);
        self.is_unstable(false);
    }
}
