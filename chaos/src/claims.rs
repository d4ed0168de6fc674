//! Pure. Claims against heartbeats: nobody takes an account from an owner who was alive (R02).

use std::collections::HashMap;

use common::testing::witness::{Beat, LeaseChange};

/// Every claim of an account whose owner before had neither given it back nor stopped, and whose last heartbeat was younger
/// than a lease lives. In words.
pub(crate) fn stolen(changes: &[LeaseChange], beats: &[Beat], ttl_us: i64) -> Vec<String> {
    let mut before: HashMap<_, &LeaseChange> = HashMap::new();
    let mut stolen = Vec::new();
    for change in changes {
        if let Some(last) = before.insert(change.account, change) {
            if change.epoch < last.epoch {
                stolen.push(format!("the epoch of {} fell from {} to {}", change.account, last.epoch, change.epoch));
            }
            if let (Some(old), Some(new)) = (last.owner, change.owner)
                && old != new
                && let Some(beat) = beats.iter().rev().find(|beat| beat.worker == old && beat.at_us < change.at_us)
                && !beat.stopped
                && change.at_us - beat.at_us < ttl_us - TOLERANCE_US
            {
                let age_ms = (change.at_us - beat.at_us) / 1_000;
                stolen.push(format!("{new} took {} from {old}, whose heartbeat was {age_ms} ms old", change.account));
            }
        }
    }
    stolen
}

/// A heartbeat is stamped by its transaction's start, and seen here by the moment at which its trigger ran.
const TOLERANCE_US: i64 = 500_000;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;

    const TTL: i64 = 15_000_000;

    fn id(n: u8) -> uuid::Uuid {
        uuid::Uuid::from_bytes([n; 16])
    }

    fn change(epoch: i64, owner: Option<u8>, at_s: i64) -> LeaseChange {
        LeaseChange { account: id(9), epoch, owner: owner.map(id), at_us: at_s * 1_000_000 }
    }

    fn beat(worker: u8, stopped: bool, at_s: i64) -> Beat {
        Beat { worker: id(worker), stopped, at_us: at_s * 1_000_000 }
    }

    /// R02: a claim while the owner's heartbeat is fresh is found; after its lease's life, its stop, or a release it is none.
    #[test]
    fn a_theft_is_found() {
        let changes = [change(1, Some(1), 10), change(2, Some(2), 20)];
        assert_eq!(stolen(&changes, &[beat(1, false, 12)], TTL).len(), 1);
        assert!(stolen(&changes, &[beat(1, false, 4)], TTL).is_empty());
        assert!(stolen(&changes, &[beat(1, false, 12), beat(1, true, 19)], TTL).is_empty());
        let released = [change(1, Some(1), 10), change(1, None, 19), change(2, Some(2), 20)];
        assert!(stolen(&released, &[beat(1, false, 18)], TTL).is_empty());
    }

    /// R02: an epoch never falls.
    #[test]
    fn a_falling_epoch_is_found() {
        assert_eq!(stolen(&[change(5, None, 1), change(4, None, 2)], &[], TTL).len(), 1);
    }
}
