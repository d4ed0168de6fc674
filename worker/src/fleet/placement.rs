//! Pure. How many accounts each worker should hold: how many a worker claims, and how many it hands over.
//!
//! There is no leader: each worker reads the same rows and computes the same shares. Availability comes first: any
//! worker with room takes accounts that had no owner for [`GRACE`]. To balance the load, accounts move only when a
//! worker is more than a tenth off its share.
//!
//! A *roll* is under way while workers of an older release run beside those of the newest. Accounts that the older
//! workers free go to the newest ones, in equal parts. So an account moves once: from its last worker of the old
//! release to the worker of the new release that keeps it. When the last old worker has gone, the shares are even.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::id::WorkerId;

/// How long accounts without an owner are left to workers below their share.
pub const GRACE: Duration = Duration::from_secs(5);
/// The most sessions that a worker hands over per second.
pub const SHED_PER_S: u32 = 4;
/// After taking orphaned accounts, a worker sheds none for this long: some worker that should have taken them is not
/// working.
pub const AFTER_OVERFLOW: Duration = Duration::from_secs(60);

/// One worker, as read from its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id of its boot.
    pub id: WorkerId,
    /// How many accounts it held at its last heartbeat.
    pub held: u32,
    /// The most accounts that it holds.
    pub capacity: u32,
    /// The release that it runs.
    pub release: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// The workers that are alive and not leaving, and the number of accounts for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The workers.
    pub members: Vec<Member>,
    /// How many accounts should be live.
    pub wanted: u32,
}

/// What one worker should do. Limits are totals: how many accounts it may hold in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Its share of the accounts.
    pub target: u32,
    /// The limit when it claims any free account.
    pub at_once: u32,
    /// The limit when it claims accounts that were free for [`GRACE`].
    pub after_grace: u32,
    /// The limit when it claims an account for which a person waits.
    pub urgent: u32,
    /// How many sessions to hand over.
    pub shed: u32,
}

impl Fleet {
    /// The plan of worker `me`, which holds `held` accounts now. A worker that is not among the members does nothing.
    #[must_use]
    pub fn plan(&self, me: WorkerId, held: u32) -> Plan {
        let Some(own) = self.members.iter().find(|member| member.id == me) else { return Plan::default() };
        let newest = self.newest_release();
        let (newer, older): (Vec<&Member>, Vec<&Member>) =
            self.members.iter().partition(|member| Some(member.release.as_str()) == newest);
        if !newer.iter().any(|member| member.id == me) {
            let full = newer.iter().all(|member| member.held >= member.capacity);
            let urgent = if full { own.capacity } else { 0 };
            return Plan { target: held, at_once: 0, after_grace: own.capacity, urgent, shed: 0 };
        }
        let share = self.share(&newer, &older);
        let target = share.min(own.capacity);
        let shed = if older.is_empty() { shed(&newer, me, held, share) } else { 0 };
        Plan { target, at_once: target, after_grace: own.capacity, urgent: own.capacity, shed }
    }

    /// The release whose first worker started last.
    fn newest_release(&self) -> Option<&str> {
        let first = |release: &str| {
            self.members.iter().filter(|member| member.release == release).map(|member| member.started_at).min()
        };
        let releases = self.members.iter().map(|member| member.release.as_str());
        releases.max_by_key(|release| (first(release), *release))
    }

    /// The share of each worker of the newest release: an equal part of what the older workers do not hold, within its
    /// capacity. At the start of a roll that would be too much for the few new workers (a canary may run alone for
    /// days), so the limit is twice a fair share.
    fn share(&self, newer: &[&Member], older: &[&Member]) -> u32 {
        let kept = older.iter().map(|member| member.held).sum::<u32>();
        let share = level(self.wanted.saturating_sub(kept), newer);
        if older.is_empty() { share } else { share.min(level(self.wanted, &[newer, older].concat()).saturating_mul(2)) }
    }
}

/// The smallest size at which all `accounts` fit, if every worker is filled up to that size or to its capacity.
fn level(accounts: u32, workers: &[&Member]) -> u32 {
    let mut capacities: Vec<u32> = workers.iter().map(|member| member.capacity).collect();
    capacities.sort_unstable();
    let (mut left, mut workers) = (accounts, u32::try_from(workers.len()).unwrap_or(u32::MAX));
    for capacity in capacities {
        let share = left.div_ceil(workers);
        if share <= capacity {
            return share;
        }
        left -= capacity;
        workers -= 1;
    }
    u32::MAX // there is not enough room: each worker is full
}

/// How many to hand over: down to the share, if this worker or one that lacks accounts is more than a tenth off it, and
/// no more than the worker that lacks most can take.
fn shed(members: &[&Member], me: WorkerId, held: u32, share: u32) -> u32 {
    let over = held.saturating_sub(share);
    let others = members.iter().filter(|member| member.id != me);
    let lacking = others.map(|member| (share.min(member.capacity).saturating_sub(member.held), member.capacity)).max();
    let Some((lack, capacity)) = lacking else { return 0 };
    let tenth = |of: u32| u64::from(of) / 10;
    let far = u64::from(over) > tenth(share) || u64::from(lack) > tenth(share.min(capacity));
    if far { over.min(lack) } else { 0 }
}
