//! Pure. Compares claims with heartbeats: no worker may claim an account whose owner was alive.

use std::collections::HashMap;

use kit::witness::{Beat, LeaseChange};

/// Describes every claim of an account whose earlier owner had neither released it nor stopped, and whose last
/// heartbeat that the claim could see was younger than a lease's life.
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
                && let mut before = beats.iter().rev().filter(|beat| beat.worker == old && beat.at_us < change.at_us)
                && !before.clone().any(|beat| beat.stopped)
                && let Some(beat) = before.find(|beat| beat.at_us < change.at_us - UNSEEN_US)
                && change.at_us - beat.at_us < ttl_us - TOLERANCE_US
            {
                let age_ms = (change.at_us - beat.at_us) / 1_000;
                stolen.push(format!("{new} took {} from {old}, whose heartbeat was {age_ms} ms old", change.account));
            }
        }
    }
    stolen
}

/// The tolerance for heartbeats: a heartbeat has the time at which its transaction started, but is recorded here with
/// the time at which its trigger ran.
const TOLERANCE_US: i64 = 500_000;

/// A heartbeat that is younger than this may not have been committed when the claim looked. A live worker has sent
/// earlier ones, one in each third of a lease's life. A worker that comes back after a lease's life at the moment of
/// the claim has lost its right.
const UNSEEN_US: i64 = 1_000_000;

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

    /// R02: a claim is found if the owner's heartbeat is fresh, but not after the lease's life, a stop or a release.
    #[test]
    fn a_theft_is_found() {
        let changes = [change(1, Some(1), 10), change(2, Some(2), 20)];
        assert_eq!(stolen(&changes, &[beat(1, false, 12)], TTL).len(), 1);
        assert!(stolen(&changes, &[beat(1, false, 4)], TTL).is_empty());
        assert!(stolen(&changes, &[beat(1, false, 12), beat(1, true, 19)], TTL).is_empty());
        assert!(
            stolen(&changes, &[beat(1, false, 4), beat(1, false, 19)], TTL).is_empty(),
            "it came back with the claim"
        );
        assert_eq!(
            stolen(&changes, &[beat(1, false, 14), beat(1, false, 19)], TTL).len(),
            1,
            "it was there all the time"
        );
        let left = [beat(1, false, 18), Beat { at_us: 19_900_000, ..beat(1, true, 0) }];
        assert!(stolen(&changes, &left, TTL).is_empty(), "it has just stopped");
        let released = [change(1, Some(1), 10), change(1, None, 19), change(2, Some(2), 20)];
        assert!(stolen(&released, &[beat(1, false, 18)], TTL).is_empty());
    }

    /// R02: an epoch never decreases.
    #[test]
    fn a_falling_epoch_is_found() {
        assert_eq!(stolen(&[change(5, None, 1), change(4, None, 2)], &[], TTL).len(), 1);
    }
}
