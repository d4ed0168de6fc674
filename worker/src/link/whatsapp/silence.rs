//! Finds a connection that is logged in and dead.
//!
//! The library asks as well, but takes up to 65 s: it looks at a moment of its own every 15 to 30 s, waits for the next one
//! where something came in the last 15 s, and gives the answer 20 s. We look more often, so that a minute always suffices.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::Client;

/// For storing what is buffered and saying goodbye; the library's own bounds inside are of the same size.
pub(super) const FAREWELL: Duration = Duration::from_secs(6);
/// How often we look whether anything came.
const LOOK: Duration = Duration::from_secs(5);
/// Silence that makes us ask. The library asks sooner, most of the time.
const QUIET: Duration = Duration::from_secs(25);
/// For WhatsApp to answer: what WhatsApp's own client waits.
const ANSWER: Duration = Duration::from_secs(20);

const _: () = assert!(
    LOOK.as_secs() + QUIET.as_secs() + ANSWER.as_secs() + FAREWELL.as_secs() < 60,
    "R62: a dead session is found and told within a minute"
);

/// How long nothing has come.
struct Ear {
    frames: u64,
    since: Instant,
}

impl Ear {
    /// Takes the number of frames that came so far, and says for how long it has been the same.
    fn quiet_for(&mut self, frames: u64, now: Instant) -> Duration {
        if frames != self.frames {
            *self = Self { frames, since: now };
        }
        now.duration_since(self.since)
    }
}

/// Ends when WhatsApp was silent for a while and did not answer a ping either; never before the login.
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
