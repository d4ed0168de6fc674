//! Records all logged-in sockets by device, and finds out whether two sockets of one device were ever open at the same
//! time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use crate::clock;
use crate::sync::lock;
use crate::world::address::Address;

/// How many sockets are remembered per device. The oldest are dropped first.
const SOCKETS_MAX: usize = 10_000;

/// The origin of a socket.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) opened_at_us: u64,
    /// The query of the URL that the client requested. Tests identify their clients by it.
    pub(crate) via: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct SocketRecord {
    socket_id: u64,
    opened_at_us: u64,
    login_ok_at_us: u64,
    closed_at_us: Option<u64>,
    close_reason: Option<String>,
    via: Option<String>,
}

/// A period in which two sockets of one device were logged in.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Overlap {
    first_socket_id: u64,
    second_socket_id: u64,
    began_at_us: u64,
    /// `None` while both are still open.
    ended_at_us: Option<u64>,
    lasted_us: u64,
    /// How the older socket ended. `replaced` means that the server ended it.
    ended_by: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct DeviceAudit {
    pub(crate) number: String,
    pub(crate) device: u16,
    pub(crate) sockets: Vec<SocketRecord>,
    pub(crate) overlaps: Vec<Overlap>,
}

#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    by_device: BTreeMap<Address, VecDeque<SocketRecord>>,
    device_of: HashMap<u64, Address>,
}

impl Audit {
    pub(crate) fn logged_in(&self, address: &Address, socket_id: u64, origin: &Origin) {
        let mut records = lock(&self.0);
        records.device_of.insert(socket_id, address.clone());
        let sockets = records.by_device.entry(address.clone()).or_default();
        sockets.push_back(SocketRecord {
            socket_id,
            opened_at_us: origin.opened_at_us,
            login_ok_at_us: clock::unix_us(),
            closed_at_us: None,
            close_reason: None,
            via: origin.via.clone(),
        });
        if sockets.len() > SOCKETS_MAX {
            sockets.pop_front();
        }
    }

    pub(crate) fn closed(&self, socket_id: u64, reason: &str) {
        let mut records = lock(&self.0);
        let Some(address) = records.device_of.remove(&socket_id) else {
            return;
        };
        let sockets = records.by_device.get_mut(&address);
        let record = sockets.and_then(|s| s.iter_mut().rev().find(|r| r.socket_id == socket_id));
        if let Some(record) = record {
            record.closed_at_us = Some(clock::unix_us());
            record.close_reason = Some(reason.to_owned());
        }
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Records::default();
    }

    /// The report of all devices, or of one number's devices.
    pub(crate) fn report(&self, number: Option<&str>) -> Vec<DeviceAudit> {
        let records = lock(&self.0);
        records
            .by_device
            .iter()
            .filter(|(address, _)| number.is_none_or(|n| n == address.number))
            .map(|(address, sockets)| DeviceAudit {
                number: address.number.clone(),
                device: address.device,
                sockets: sockets.iter().cloned().collect(),
                overlaps: overlaps(sockets, clock::unix_us()),
            })
            .collect()
    }
}

/// Finds all pairs of sockets that were logged in at the same time. The sockets are ordered by login time.
fn overlaps(sockets: &VecDeque<SocketRecord>, now_us: u64) -> Vec<Overlap> {
    let mut found = Vec::new();
    let mut open: Vec<&SocketRecord> = Vec::new();
    for later in sockets {
        open.retain(|earlier| earlier.closed_at_us.is_none_or(|at| at > later.login_ok_at_us));
        for earlier in &open {
            let ended_at_us = match (earlier.closed_at_us, later.closed_at_us) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            found.push(Overlap {
                first_socket_id: earlier.socket_id,
                second_socket_id: later.socket_id,
                began_at_us: later.login_ok_at_us,
                ended_at_us,
                lasted_us: ended_at_us.unwrap_or(now_us).saturating_sub(later.login_ok_at_us),
                ended_by: earlier.close_reason.clone(),
            });
        }
        open.push(later);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(socket_id: u64, login_ok_at_us: u64, closed_at_us: Option<u64>) -> SocketRecord {
        SocketRecord {
            socket_id,
            opened_at_us: login_ok_at_us,
            login_ok_at_us,
            closed_at_us,
            close_reason: None,
            via: None,
        }
    }

    #[test]
    fn one_after_the_other_is_no_overlap() {
        let sockets = VecDeque::from([record(1, 10, Some(20)), record(2, 20, None)]);
        assert!(overlaps(&sockets, 100).is_empty());
    }

    #[test]
    fn every_pair_counts_with_its_length() {
        let sockets = VecDeque::from([record(1, 10, Some(50)), record(2, 20, Some(40)), record(3, 30, None)]);
        let found = overlaps(&sockets, 100);
        let lengths: Vec<_> = found.iter().map(|o| (o.first_socket_id, o.second_socket_id, o.lasted_us)).collect();
        assert_eq!(lengths, [(1, 2, 20), (1, 3, 20), (2, 3, 10)]);
    }

    #[test]
    fn an_overlap_that_lasts_is_measured_until_now() {
        let sockets = VecDeque::from([record(1, 10, None), record(2, 20, None)]);
        let found = overlaps(&sockets, 100);
        assert_eq!((found[0].ended_at_us, found[0].lasted_us), (None, 80));
    }
}
