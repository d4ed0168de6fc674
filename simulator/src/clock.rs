//! The two clocks of the simulator: unix seconds and unix microseconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds, for the `t` attribute of stanzas.
pub(crate) fn unix_s() -> u64 {
    since_epoch().as_secs()
}

/// Unix microseconds, for all timestamps of the admin API.
pub(crate) fn unix_us() -> u64 {
    u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator's one clock: it shares nothing with the programs it tests"
)]
fn since_epoch() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
