//! Pure. The lease protocol as a world of small integers: one account, two workers, Redis, Postgres, WhatsApp.
//!
//! Time is stored as ages in thirds of a lease's life, and never as absolute time, so that the world is finite. Each
//! step is one atomic effect at one store, in the order of `lease.rs`, `store/leases.rs`, `supervisor.rs` and
//! `keeper.rs`. Everything else may happen between any two steps.

/// The number of workers.
pub(super) const WORKERS: usize = 2;
/// A lease's life, and the age at which a heartbeat is stale.
pub(super) const TTL: u8 = 3;
/// The trust window: two thirds of a lease's life.
pub(super) const TRUST: u8 = 2;

/// The key in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) holder: usize,
    /// The epoch; 0 if the key is won but not confirmed.
    pub(super) epoch: u8,
    /// The time until it runs out.
    pub(super) left: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Redis {
    pub(super) key: Option<Key>,
    /// The replica's copy of it, which may be old.
    pub(super) copy: Option<Key>,
    /// The time since this Redis started, or last lost its data.
    pub(super) age: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Postgres {
    pub(super) epoch: u8,
    pub(super) owner: Option<usize>,
}

/// The state of a worker's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Claim {
    None,
    /// The key is won, in a Redis that was young then.
    Won {
        young: bool,
    },
    /// The claim's statement has begun. By the rows of that moment, the other worker was gone.
    Looked {
        gone: bool,
    },
    /// The epoch is raised, but the key does not have it yet.
    Raised(u8),
    /// Confirmed: a session runs.
    Held(u8),
    /// The session has ended. The key is to be given back, and then the row.
    EndingKey,
    EndingRow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Socket {
    Closed,
    Open,
    /// WhatsApp closed the socket because another one logged in.
    Replaced,
}

/// A renewal under way: Postgres was asked, Redis was not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Round {
    /// The time since its start.
    pub(super) age: u8,
    /// The claim at its start, if Postgres did not deny it.
    pub(super) held: Option<u8>,
    /// Whether Postgres answered.
    pub(super) heard: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Worker {
    /// The time since its heartbeat in Postgres.
    pub(super) seen: u8,
    /// The time since the start of its last successful renewal.
    pub(super) trusted: u8,
    pub(super) claim: Claim,
    pub(super) socket: Socket,
    /// The epoch of a write that has passed its check and is not committed.
    pub(super) write: Option<u8>,
    pub(super) round: Option<Round>,
    /// Its process is dead. Only its requests under way may still arrive.
    pub(super) dead: bool,
    /// Postgres says that it has stopped.
    pub(super) stopped: bool,
    /// It is the next boot of the other worker, which is dead: it holds the lock on their name, and has given back what
    /// the other owned.
    pub(super) heir: bool,
}

impl Worker {
    /// Whether it may act, as far as it knows.
    pub(super) fn acts(&self) -> bool {
        !self.dead && matches!(self.claim, Claim::Held(_)) && self.trusted < TRUST
    }

    /// Its process dies, and the system closes its socket. Postgres finishes a write that has passed its check.
    pub(super) fn die(&mut self) {
        self.dead = true;
        self.socket = Socket::Closed;
    }

    /// Ends the session: no socket of it is open afterwards. Then the account is given back.
    pub(super) fn end(&mut self) {
        self.claim = Claim::EndingKey;
        self.socket = Socket::Closed;
    }
}

/// What must never have happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seen {
    pub(super) stale_write: bool,
    pub(super) blind_reconnect: bool,
    /// A claimant without the key fenced an owner that acted.
    pub(super) robbed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct World {
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    pub(super) workers: [Worker; WORKERS],
    /// The number of faults of Redis so far.
    pub(super) losses: u8,
    pub(super) seen: Seen,
}

impl World {
    /// Everything is up, and the account has no owner.
    pub(super) fn new() -> Self {
        let worker = Worker {
            seen: 0,
            trusted: 0,
            claim: Claim::None,
            socket: Socket::Closed,
            write: None,
            round: None,
            dead: false,
            stopped: false,
            heir: false,
        };
        Self {
            redis: Redis { key: None, copy: None, age: TTL },
            postgres: Postgres { epoch: 0, owner: None },
            workers: std::array::from_fn(|_| worker.clone()),
            losses: 0,
            seen: Seen::default(),
        }
    }

    /// One worker serves the account, which it has just claimed.
    pub(super) fn owned() -> Self {
        let mut world = Self::new();
        world.redis.key = Some(Key { holder: 1, epoch: 1, left: TTL });
        world.postgres = Postgres { epoch: 1, owner: Some(1) };
        world.workers[1].claim = Claim::Held(1);
        world.workers[1].socket = Socket::Open;
        world
    }

    /// As [`World::owned`], but the owner has not reached Postgres for long: only renewals in Redis keep it.
    pub(super) fn deaf() -> Self {
        let mut world = Self::owned();
        world.workers[1].seen = TTL;
        world
    }

    /// A third of a lease's life passes.
    pub(super) fn tick(&mut self) {
        for key in [&mut self.redis.key, &mut self.redis.copy] {
            *key = key.filter(|key| key.left > 1).map(|key| Key { left: key.left - 1, ..key });
        }
        self.redis.age = (self.redis.age + 1).min(TTL);
        for worker in &mut self.workers {
            worker.seen = (worker.seen + 1).min(TTL);
            worker.trusted = (worker.trusted + 1).min(TRUST);
            if let Some(round) = &mut worker.round {
                round.age = (round.age + 1).min(TRUST);
            }
        }
    }

    /// Redis keeps only this.
    pub(super) fn lose(&mut self, left: Option<Key>) {
        self.redis = Redis { key: left, copy: left, age: 0 };
        self.losses += 1;
    }

    /// Whether this worker serves the account: it acts under the current epoch, with a socket.
    pub(super) fn served_by(&self, w: usize) -> bool {
        let worker = &self.workers[w];
        worker.acts() && worker.claim == Claim::Held(self.postgres.epoch) && worker.socket == Socket::Open
    }

    /// The same world, with the workers exchanged if that sorts first: no worker is special.
    pub(super) fn canonical(self) -> Self {
        let mut other = self.clone();
        other.workers.swap(0, 1);
        other.postgres.owner = other.postgres.owner.map(|owner| 1 - owner);
        for key in [&mut other.redis.key, &mut other.redis.copy] {
            *key = key.map(|key| Key { holder: 1 - key.holder, ..key });
        }
        self.min(other)
    }

    /// Whether a fenced write has locked the row, so that claims and requests wait.
    pub(super) fn locked(&self) -> bool {
        self.workers.iter().any(|worker| worker.write.is_some())
    }
}
