//! Detects a connection that is logged in but dead.
//!
//! The library checks as well, but takes up to 65 s: it checks at random intervals of 15 to 30 s, skips a check if
//! something arrived in the last 15 s, and waits 20 s for the answer. We check more often, so that a dead connection is
//! always found within a minute.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::Client;

/// How long storing the buffers and closing may take. The library's own limits within are of the same size.
pub(super) const FAREWELL: Duration = Duration::from_secs(6);
/// How often we check whether a frame arrived.
const LOOK: Duration = Duration::from_secs(5);
/// How long a silence makes us send a ping. The library usually sends one earlier.
const QUIET: Duration = Duration::from_secs(25);
/// How long WhatsApp may take to answer. WhatsApp's own client waits as long.
const ANSWER: Duration = Duration::from_secs(20);

const _: () = assert!(
    LOOK.as_secs() + QUIET.as_secs() + ANSWER.as_secs() + FAREWELL.as_secs() < 60,
    "R62: a dead session is found and told within a minute"
);

/// Measures for how long no frame has arrived.
struct Ear {
    frames: u64,
    since: Instant,
}

impl Ear {
    /// Takes the number of frames that arrived so far, and returns for how long it has not changed.
    fn quiet_for(&mut self, frames: u64, now: Instant) -> Duration {
        if frames != self.frames {
            *self = Self { frames, since: now };
        }
        now.duration_since(self.since)
    }
}

/// Returns when WhatsApp was silent for a while and did not answer a ping either. Never returns before the login.
pub(super) async fn proven(client: &Client) {
    let mut ear = Ear { frames: 0, since: Instant::now() };
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let heard = client.stats().frames_received;
        if ear.quiet_for(heard, Instant::now()) < QUIET || !client.is_logged_in() {
            continue;
        }
        let ping = client.execute(KeepaliveSpec::with_timeout(ANSWER)).await;
        if ping.is_err() && client.stats().frames_received == heard {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_frame() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ear = Ear { frames: 0, since: start };
        for (seconds, frames, quiet) in [(5, 0, 5), (10, 3, 0), (15, 3, 5), (35, 3, 25), (45, 4, 0), (46, 4, 1)] {
            assert_eq!(ear.quiet_for(frames, at(seconds)), Duration::from_secs(quiet), "after {seconds} s");
        }
    }
}
