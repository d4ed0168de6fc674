//! Pure. Measures how long devices were without a socket after the end of the worker that held them.

use crate::evidence::Device;
use crate::journal::{Entry, What};

/// The take-over of one device. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Takeover {
    /// Whether the worker was asked to stop. Otherwise it was killed.
    pub(crate) asked: bool,
    /// From the end of the earlier socket to the next login of the device.
    pub(crate) gap_us: u64,
    /// From the signal to the next login.
    pub(crate) since_signal_us: u64,
    /// The time of the next login.
    pub(crate) came_back_at_us: u64,
}

/// A socket that ends within this time after a kill was ended by the kill: its proxy passes the end on.
const SOON_US: u64 = 2_000_000;

/// Finds every device that lost its socket when a worker ended, and logged in again.
pub(crate) fn takeovers(devices: &[Device], journal: &[Entry]) -> Vec<Takeover> {
    let mut found = Vec::new();
    for entry in journal {
        let What::Ended { boot, asked } = &entry.what else { continue };
        for device in devices {
            let held = device.sockets.iter().find(|socket| {
                socket.via.as_deref() == Some(boot)
                    && socket.login_ok_at_us < entry.from_us
                    && socket
                        .closed_at_us
                        .is_some_and(|at| at >= entry.from_us && at <= entry.until_us.saturating_add(SOON_US))
            });
            let Some((held, closed)) = held.and_then(|held| Some((held, held.closed_at_us?))) else { continue };
            let next = device
                .sockets
                .iter()
                .find(|socket| socket.socket_id != held.socket_id && socket.login_ok_at_us > held.login_ok_at_us);
            if let Some(next) = next {
                found.push(Takeover {
                    asked: *asked,
                    gap_us: next.login_ok_at_us.saturating_sub(closed),
                    since_signal_us: next.login_ok_at_us.saturating_sub(entry.from_us),
                    came_back_at_us: next.login_ok_at_us,
                });
            }
        }
    }
    found
}

/// The quantile of these values at this share; 0 if there are none.
pub(crate) fn quantile(values: &[u64], share: f64) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len().saturating_sub(1) as f64 * share).ceil() as usize;
    sorted.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Socket;

    #[test]
    fn a_takeover_is_measured_from_the_end_of_the_socket() {
        let socket = |socket_id, login_ok_at_us, closed_at_us, via: &str| Socket {
            socket_id,
            login_ok_at_us,
            closed_at_us,
            via: Some(via.to_owned()),
        };
        let devices = [Device {
            number: "1".to_owned(),
            device: 1,
            sockets: vec![socket(1, 100, Some(1_100), "worker-1.1"), socket(2, 1_500, None, "worker-2.1")],
            overlaps: vec![],
        }];
        let what = What::Ended { boot: "worker-1.1".to_owned(), asked: true };
        let found = takeovers(&devices, &[Entry { from_us: 1_000, until_us: 1_200, what }]);
        assert_eq!(found.iter().map(|t| (t.gap_us, t.since_signal_us)).collect::<Vec<_>>(), [(400, 500)]);
    }

    #[test]
    fn quantiles_are_of_the_values() {
        let values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)), (51, 100, 100));
        assert_eq!(quantile(&[], 0.5), 0);
    }
}
