//! Pure. Which worker should hold how many accounts: how many a worker claims, and how many it hands over.
//!
//! Nobody leads: each worker looks at the same rows and comes to the same shares. Availability comes first: what
//! others leave for [`GRACE`] is taken by any worker with room. For balance alone, accounts move only when a worker is more than a
//! tenth off its share.
//!
//! A *roll* is under way while workers of an older release stand beside those of the newest. Whatever the older ones free
//! belongs to the newest ones, and to them in equal parts. So a device moves once, from the last worker of the old release that
//! had it to the one of the new release that keeps it, and when the last old worker has gone the shares are even.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::id::WorkerId;

/// How long accounts without an owner are left to those who have fewer.
pub const GRACE: Duration = Duration::from_secs(5);
/// Sessions that a worker hands over per second at most.
pub const SHED_PER_S: u32 = 4;
/// After taking accounts that others had left, a worker hands over none for this long: a worker that should have taken them is not
/// working.
pub const AFTER_OVERFLOW: Duration = Duration::from_secs(60);

/// One worker as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its boot.
    pub id: WorkerId,
    /// Accounts held at its last heartbeat.
    pub held: u32,
    /// Accounts that it holds at most.
    pub capacity: u32,
    /// What it was rolled out with.
    pub release: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// The workers that are alive and stay, and what there is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The workers.
    pub members: Vec<Member>,
    /// Accounts that should be live.
    pub wanted: u32,
}

/// What one worker should do. Limits are sizes to grow to, this many accounts held in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Its part of the accounts.
    pub target: u32,
    /// Grows up to here with what is free.
    pub at_once: u32,
    /// Grows up to here with what has been free for [`GRACE`].
    pub after_grace: u32,
    /// Grows up to here with accounts for which a person waits.
    pub urgent: u32,
    /// Sessions to hand over.
    pub shed: u32,
}

impl Fleet {
    /// What worker `me`, which holds `held` accounts now, should do. One that the others don't see, or that leaves, does nothing.
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

    /// An equal part of what the older workers don't hold, for each of the newest that has room for it. While a roll has just
    /// begun that would be too much for the few (a canary may stand alone for days): twice a fair part is the limit.
    fn share(&self, newer: &[&Member], older: &[&Member]) -> u32 {
        let kept = older.iter().map(|member| member.held).sum::<u32>();
        let share = level(self.wanted.saturating_sub(kept), newer);
        if older.is_empty() { share } else { share.min(level(self.wanted, &[newer, older].concat()).saturating_mul(2)) }
    }
}

/// The least size that holds `accounts` when every worker is filled up to it, or to its capacity.
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
    u32::MAX // there is not enough room: each one is full
}

/// How many to hand over: down to the share, when that is more than a tenth away for this worker or for one that lacks
/// accounts, and no more than the one that lacks most can take.
fn shed(members: &[&Member], me: WorkerId, held: u32, share: u32) -> u32 {
    let over = held.saturating_sub(share);
    let others = members.iter().filter(|member| member.id != me);
    let lacking = others.map(|member| (share.min(member.capacity).saturating_sub(member.held), member.capacity)).max();
    let Some((lack, capacity)) = lacking else { return 0 };
    let tenth = |of: u32| u64::from(of) / 10;
    let far = u64::from(over) > tenth(share) || u64::from(lack) > tenth(share.min(capacity));
    if far { over.min(lack) } else { 0 }
}
