//! Pure. Every key and channel that Switchboard itself has in Redis. All of them start with the prefix, so that several
//! installations can share a server. Scripts (`lua/`) get them as `KEYS` or `ARGV` and never contain one.
//!
//! apalis-redis keeps its data of a queue under names that start with the queue's name. Only `core:apalis:queues:list`
//! has no prefix.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use domain::id::{AccountId, TenantId, WorkerId};
use domain::job::{Bell, Queue};

/// The key names of one installation.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisKeys {
    prefix: Arc<str>,
}

/// The prefixes of names that a script completes, because it finds out only in Redis which worker a bell is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginnings {
    /// The prefix of a lease; the account follows.
    pub lease: String,
    /// The prefix of a channel of bells; the worker or the queue follows.
    pub bell: String,
    /// The prefix of a key that coalesces bells; the queue follows.
    pub rung: String,
    /// The prefix of a queue; its own name follows.
    pub queue: String,
    /// The prefix of an inbox's own name; the worker follows.
    pub inbox: &'static str,
}

/// The version of the job layout. It is part of every queue's name. A release with another layout takes another
/// version, so that neither release reads the queues of the other.
const LAYOUT: &str = "v1";
const INBOX: &str = "inbox-";

impl RedisKeys {
    /// The names with this prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The key of an account's lease. [`lease_value`] describes its value.
    #[must_use]
    pub fn lease(&self, account: AccountId) -> String {
        format!("{}{account}", self.beginnings().lease)
    }

    /// The key that says since when this Redis has kept its data: `<run id of the server>:<ms>`.
    #[must_use]
    pub fn leases_since(&self) -> String {
        format!("{}leases_since", self.prefix)
    }

    /// The key that a worker without leases writes to check whether Redis accepts writes.
    #[must_use]
    pub fn ping(&self, worker: WorkerId) -> String {
        format!("{}ping:{worker}", self.prefix)
    }

    /// The key of the cluster's bucket of connects: the instant, in microseconds, up to which its tokens are given
    /// away.
    #[must_use]
    pub fn limiter(&self) -> String {
        format!("{}limiter:connect", self.prefix)
    }

    /// The channel of a tenant's live signals.
    #[must_use]
    pub fn signal(&self, tenant: TenantId) -> String {
        format!("{}signal:{tenant}", self.prefix)
    }

    /// The tenant of a channel of signals; `None` if it is not such a channel.
    #[must_use]
    pub fn tenant_of(&self, channel: &str) -> Option<TenantId> {
        channel.strip_prefix(&*self.prefix)?.strip_prefix("signal:")?.parse().ok()
    }

    /// A queue of bells.
    #[must_use]
    pub fn queue(&self, queue: Queue) -> String {
        format!("{}{}", self.beginnings().queue, name(queue))
    }

    /// The worker whose inbox this set of consumers belongs to; `None` if it is not an inbox of this installation.
    #[must_use]
    pub fn inbox_of(&self, consumers: &str) -> Option<WorkerId> {
        let Beginnings { queue, inbox, .. } = self.beginnings();
        consumers.strip_prefix(&queue)?.strip_prefix(inbox)?.strip_suffix(":workers")?.parse().ok()
    }

    /// The channel on which the bells of a queue are published.
    #[must_use]
    pub fn bell(&self, queue: Queue) -> String {
        let begins = self.beginnings().bell;
        match queue {
            Queue::Inbox(worker) => format!("{begins}{worker}"),
            Queue::Claim | Queue::FireReminder => format!("{begins}{}", queue.kind()),
        }
    }

    /// The key that coalesces equal bells of one queue. It exists while such a bell lies in the queue.
    #[must_use]
    pub fn rung(&self, queue: Queue, bell: &Bell) -> String {
        format!("{}{}:{bell}", self.beginnings().rung, name(queue))
    }

    /// The key by which one of the workers that heard a published bell takes it.
    #[must_use]
    pub fn taken(&self, ring: Uuid) -> String {
        format!("{}taken:{ring}", self.prefix)
    }

    /// The key that a process writes to check whether Redis accepts writes.
    #[must_use]
    pub fn ready(&self, process: Uuid) -> String {
        format!("{}ready:{process}", self.prefix)
    }

    /// The channel on which the doctor publishes and listens.
    #[must_use]
    pub fn doctor(&self, trial: Uuid) -> String {
        format!("{}doctor:{trial}", self.prefix)
    }

    /// The prefixes of names that a script completes.
    #[must_use]
    pub fn beginnings(&self) -> Beginnings {
        let prefix = &self.prefix;
        Beginnings {
            lease: format!("{prefix}lease:"),
            bell: format!("{prefix}bell:"),
            rung: format!("{prefix}rung:"),
            queue: format!("{prefix}{LAYOUT}:"),
            inbox: INBOX,
        }
    }
}

impl fmt::Debug for RedisKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)
    }
}

fn name(queue: Queue) -> String {
    match queue {
        Queue::Inbox(worker) => format!("{INBOX}{worker}"),
        Queue::Claim | Queue::FireReminder => queue.kind().to_owned(),
    }
}

/// The value of a lease: its worker and its epoch. The epoch is 0 from winning the key until winning the claim.
#[must_use]
pub fn lease_value(worker: WorkerId, epoch: i64) -> String {
    format!("{}{epoch}", lease_owner(worker))
}

/// The start of each lease value of this worker. `lua/ring.lua` takes the part before the colon as the owner.
#[must_use]
pub fn lease_owner(worker: WorkerId) -> String {
    format!("{worker}:")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R103: other processes and the release before know these names; a change of one is a change of `LAYOUT`.
    #[test]
    fn names_stay_as_they_are() {
        let keys = RedisKeys::new("p:");
        let id = |n: u128| Uuid::from_u128(n);
        let (account, tenant, worker) = (AccountId(id(1)), TenantId(id(2)), WorkerId(id(3)));
        let (a, t, w) = (account.to_string(), tenant.to_string(), worker.to_string());
        let bell = Bell::Send { account };
        for (name, expected) in [
            (keys.lease(account), format!("p:lease:{a}")),
            (keys.leases_since(), "p:leases_since".to_owned()),
            (keys.ping(worker), format!("p:ping:{w}")),
            (keys.limiter(), "p:limiter:connect".to_owned()),
            (keys.signal(tenant), format!("p:signal:{t}")),
            (keys.queue(Queue::Inbox(worker)), format!("p:{LAYOUT}:inbox-{w}")),
            (keys.queue(Queue::Claim), format!("p:{LAYOUT}:claim")),
            (keys.queue(Queue::FireReminder), format!("p:{LAYOUT}:fire-reminder")),
            (keys.bell(Queue::Inbox(worker)), format!("p:bell:{w}")),
            (keys.bell(Queue::Claim), "p:bell:claim".to_owned()),
            (keys.rung(Queue::Claim, &bell), format!("p:rung:claim:{bell}")),
            (keys.rung(Queue::Inbox(worker), &bell), format!("p:rung:inbox-{w}:{bell}")),
            (keys.taken(id(4)), format!("p:taken:{}", id(4))),
            (keys.ready(id(5)), format!("p:ready:{}", id(5))),
            (lease_value(worker, 7), format!("{w}:7")),
        ] {
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn names_are_read_back() {
        let keys = RedisKeys::new("p:");
        let (tenant, worker) = (TenantId(Uuid::from_u128(2)), WorkerId(Uuid::from_u128(3)));
        assert_eq!(keys.tenant_of(&keys.signal(tenant)), Some(tenant));
        assert_eq!(RedisKeys::new("q:").tenant_of(&keys.signal(tenant)), None);
        let consumers = format!("{}:workers", keys.queue(Queue::Inbox(worker)));
        assert_eq!(keys.inbox_of(&consumers), Some(worker));
        assert_eq!(RedisKeys::new("q:").inbox_of(&consumers), None);
        assert_eq!(keys.inbox_of(&format!("{}:workers", keys.queue(Queue::Claim))), None);
    }

    /// A script builds the same names as the functions.
    #[test]
    fn beginnings_lead_to_the_same_names() {
        let keys = RedisKeys::new("p:");
        let account = AccountId(Uuid::from_u128(1));
        let Beginnings { lease, bell, rung, queue, inbox } = keys.beginnings();
        assert_eq!(format!("{lease}{account}"), keys.lease(account));
        let ring = Bell::Send { account };
        for (own, heard, at) in [
            ("claim".to_owned(), "claim".to_owned(), Queue::Claim),
            (format!("{inbox}{account}"), account.to_string(), Queue::Inbox(WorkerId(account.0))),
        ] {
            assert_eq!(format!("{queue}{own}"), keys.queue(at));
            assert_eq!(format!("{bell}{heard}"), keys.bell(at));
            assert_eq!(format!("{rung}{own}:{ring}"), keys.rung(at, &ring));
        }
    }
}
