//! Pure. Every key and channel that Switchboard itself has in Redis, on one page. All of them begin with the prefix, so that several
//! installations can share a server. Scripts (`lua/`) get them as `KEYS` or `ARGV` and spell none out.
//!
//! What apalis-redis keeps of a queue has names of its own behind the queue's; `core:apalis:queues:list` alone has no prefix.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use domain::id::{AccountId, TenantId, WorkerId};
use domain::job::{Bell, Queue};

/// The keys of one installation.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisKeys {
    prefix: Arc<str>,
}

/// Beginnings of names, for a script that finds out only in Redis whom a bell is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginnings {
    /// Of leases, before the account.
    pub lease: String,
    /// Of channels on which rings are heard, before the worker or the queue.
    pub bell: String,
    /// Of the keys that coalesce bells, before the queue.
    pub rung: String,
    /// Of queues, before their own name.
    pub queue: String,
    /// Of an inbox's own name, before the worker.
    pub inbox: &'static str,
}

/// The layout's version, part of every queue's name: a release that lays its jobs out differently takes another, and the
/// two never read each other's queues.
const LAYOUT: &str = "v1";
const INBOX: &str = "inbox-";

impl RedisKeys {
    /// Those with this prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// Who may act for an account: see [`lease_value`].
    #[must_use]
    pub fn lease(&self, account: AccountId) -> String {
        format!("{}{account}", self.beginnings().lease)
    }

    /// Since when this Redis has kept what it was given: `<run of the server>:<ms>`.
    #[must_use]
    pub fn leases_since(&self) -> String {
        format!("{}leases_since", self.prefix)
    }

    /// What a worker without leases writes to see whether Redis takes writes.
    #[must_use]
    pub fn ping(&self, worker: WorkerId) -> String {
        format!("{}ping:{worker}", self.prefix)
    }

    /// The cluster's bucket of connects: the instant, in microseconds, up to which its tokens are given away.
    #[must_use]
    pub fn limiter(&self) -> String {
        format!("{}limiter:connect", self.prefix)
    }

    /// The channel of a tenant's live signals.
    #[must_use]
    pub fn signal(&self, tenant: TenantId) -> String {
        format!("{}signal:{tenant}", self.prefix)
    }

    /// Whose signals a channel carries; none: it is not one.
    #[must_use]
    pub fn tenant_of(&self, channel: &str) -> Option<TenantId> {
        channel.strip_prefix(&*self.prefix)?.strip_prefix("signal:")?.parse().ok()
    }

    /// A queue of bells.
    #[must_use]
    pub fn queue(&self, queue: Queue) -> String {
        format!("{}{}", self.beginnings().queue, name(queue))
    }

    /// Whose inbox this set of consumers belongs to; none: it is no inbox of this installation.
    #[must_use]
    pub fn inbox_of(&self, consumers: &str) -> Option<WorkerId> {
        let Beginnings { queue, inbox, .. } = self.beginnings();
        consumers.strip_prefix(&queue)?.strip_prefix(inbox)?.strip_suffix(":workers")?.parse().ok()
    }

    /// The channel on which rings of a queue are heard at once.
    #[must_use]
    pub fn bell(&self, queue: Queue) -> String {
        let begins = self.beginnings().bell;
        match queue {
            Queue::Inbox(worker) => format!("{begins}{worker}"),
            Queue::Claim | Queue::FireReminder => format!("{begins}{}", queue.kind()),
        }
    }

    /// What coalesces equal bells of one queue: it is there while one lies in it.
    #[must_use]
    pub fn rung(&self, queue: Queue, bell: &Bell) -> String {
        format!("{}{}:{bell}", self.beginnings().rung, name(queue))
    }

    /// That one of those who heard a ring has taken it.
    #[must_use]
    pub fn taken(&self, ring: Uuid) -> String {
        format!("{}taken:{ring}", self.prefix)
    }

    /// What a process writes to see whether Redis takes writes.
    #[must_use]
    pub fn ready(&self, process: Uuid) -> String {
        format!("{}ready:{process}", self.prefix)
    }

    /// The channel on which the doctor hears itself.
    #[must_use]
    pub fn doctor(&self, trial: Uuid) -> String {
        format!("{}doctor:{trial}", self.prefix)
    }

    /// The beginnings of names that a script finishes.
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

/// What a lease holds: whose it is, and under which epoch; 0 between winning the key and winning the claim.
#[must_use]
pub fn lease_value(worker: WorkerId, epoch: i64) -> String {
    format!("{}{epoch}", lease_owner(worker))
}

/// The start of each value that this worker writes into a lease. `lua/ring.lua` takes what stands before the colon for the owner.
#[must_use]
pub fn lease_owner(worker: WorkerId) -> String {
    format!("{worker}:")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R103: names are what other processes and the release before know; a change of one is a change of `LAYOUT`.
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

    /// What a script puts together is what everybody else asks for.
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
