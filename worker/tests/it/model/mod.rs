//! The lease protocol, checked exhaustively: every order of all steps, with both stores failing at any moment.
//!
//! No step has a deadline. A worker that is slow, frozen or dead is one that makes no step, for any length of time. It
//! counts as acting nevertheless while its own trust lasts.

mod heal;
mod step;
mod world;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use step::{Act, Luck, Step, Without};
use world::{Socket, WORKERS, World};

const FENCED_WRITES: &str = "no write under an old epoch lands";
const ONE_OWNER: &str = "never two owners act";
const RECHECKED: &str = "a replaced session connects again only after a look at lease and epoch";
const NOT_ROBBED: &str = "nobody who lost the race for the key fences an owner that acts";
const HEALS: &str = "where a worker lives, the account is served again when the faults end";
const MOVES: &str = "an account moves from one worker to another";
const AT_ONCE: &str = "the next boot of a dead worker serves the account without waiting";

const ACTS: [Act; 13] = [
    Act::Acquire,
    Act::Look,
    Act::Claim,
    Act::Confirm,
    Act::Connect,
    Act::Write,
    Act::Release,
    Act::EndKey,
    Act::EndRow,
    Act::Beat,
    Act::Renew,
    Act::Notice,
    Act::Inherit,
];

/// The protocol, complete or without one of its rules, and bounds for each kind of fault.
struct Protocol {
    without: Without,
    /// The maximum number of claims and requests together.
    epochs: u8,
    /// The maximum number of times that Redis loses its data.
    losses: u8,
    /// The first state.
    start: fn() -> World,
    /// Whether there are fenced writes, requests that raise the epoch, and sessions that end by themselves.
    writes: bool,
    /// Whether a worker's process may die, and another one begin in its place.
    deaths: bool,
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![(self.start)()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        steps.push(Step::Tick);
        if world.losses < self.losses {
            steps.push(Step::Empty);
            steps.push(Step::FailOver);
            if world.redis.copy != world.redis.key {
                steps.push(Step::Replicate);
            }
        }
        if self.writes && (!world.locked() || self.without == Without::Lock) {
            steps.push(Step::Raise);
        }
        for (w, worker) in world.workers.iter().enumerate() {
            if worker.write.is_some() {
                steps.push(Step::Land(w));
            }
            if self.deaths && !world.workers.iter().any(|worker| worker.dead) {
                steps.push(Step::Die(w));
            }
            for act in ACTS.into_iter().filter(|act| step::enabled(world, self.without, w, *act)) {
                if matches!(act, Act::Write | Act::Release) && !self.writes || act == Act::Inherit && !self.deaths {
                    continue;
                }
                if worker.dead {
                    if step::asks(act) && act != Act::Inherit {
                        steps.push(Step::Worker(w, act, Luck::Unheard));
                    }
                    continue;
                }
                steps.push(Step::Worker(w, act, Luck::Done));
                if step::asks(act) {
                    steps.extend([Luck::Lost, Luck::Unheard].map(|luck| Step::Worker(w, act, luck)));
                }
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Tick => next.tick(),
            Step::Worker(w, act, _) if world.workers[w].dead => step::arrive(&mut next, self.without, w, act),
            Step::Worker(w, act, luck) => step::perform(&mut next, self.without, w, act, luck),
            Step::Land(w) => {
                let epoch = next.workers[w].write.take()?;
                next.seen.stale_write |= epoch != next.postgres.epoch;
            }
            Step::Empty => next.lose(None),
            Step::Replicate => next.redis.copy = next.redis.key,
            Step::FailOver => next.lose(next.redis.copy),
            Step::Raise => next.postgres.epoch += 1,
            Step::Die(w) => next.workers[w].die(),
        }
        (next != *world).then(|| next.canonical())
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.postgres.epoch <= self.epochs
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FENCED_WRITES, |_, world: &World| !world.seen.stale_write),
            Property::always(ONE_OWNER, |_, world: &World| world.workers.iter().filter(|w| w.acts()).count() < 2),
            Property::always(RECHECKED, |_, world: &World| !world.seen.blind_reconnect),
            Property::always(NOT_ROBBED, |_, world: &World| !world.seen.robbed),
            Property::always(HEALS, |protocol: &Self, world: &World| heal::heals(world, protocol.without)),
            Property::always(AT_ONCE, |protocol: &Self, world: &World| heal::heir_serves(world, protocol.without)),
            Property::sometimes(MOVES, |_, world: &World| {
                let mut replaced = world.workers.iter().filter(|worker| worker.socket == Socket::Replaced);
                replaced.next().is_some() && (0..WORKERS).any(|w| world.served_by(w))
            }),
        ]
    }
}

/// Checks every state within the bounds, up to this depth. Returns whether an account moved in one of them.
fn holds(protocol: Protocol, depth: usize) -> bool {
    let checker = protocol.checker().threads(2).target_max_depth(depth).spawn_bfs().join();
    println!("{} states, {} deep", checker.unique_state_count(), checker.max_depth());
    for property in [FENCED_WRITES, ONE_OWNER, RECHECKED, NOT_ROBBED, HEALS, AT_ONCE] {
        checker.assert_no_discovery(property);
    }
    assert!(checker.unique_state_count() > 10_000, "it looked at {} states only", checker.unique_state_count());
    checker.discovery(MOVES).is_some()
}

/// Checks that the protocol fails without one of its rules, by the shortest way.
fn breaks(without: Without, protocol: Protocol, property: &'static str) {
    let protocol = Protocol { without, ..protocol };
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = protocol.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let path = checker.discovery(property).unwrap_or_else(|| panic!("without {without:?} nothing goes wrong"));
    println!("without {without:?}: {:?}", path.into_actions());
}

const OWNERS: Protocol =
    Protocol { without: Without::Nothing, epochs: 2, losses: 0, start: World::new, writes: false, deaths: false };

/// R02: who owns the account: all states of two claims, with lost requests and answers, and workers that freeze or die
/// at any moment.
#[test]
fn the_protocol_holds() {
    assert!(holds(OWNERS, usize::MAX), "no account ever moved");
}

/// R02: fenced writes, requests that raise the epoch, and releases, from an account that is served.
#[test]
fn the_protocol_holds_with_writes() {
    holds(Protocol { writes: true, epochs: 3, start: World::owned, ..OWNERS }, 11);
}

/// R02: Redis loses its data, or falls back to an older copy, while Postgres receives the owner's heartbeat.
#[test]
fn the_protocol_holds_though_redis_forgets() {
    holds(Protocol { losses: 1, start: World::owned, ..OWNERS }, 11);
}

/// R02: the same while only Redis hears the owner.
#[test]
fn the_protocol_holds_though_redis_forgets_an_owner_that_postgres_cannot_hear() {
    holds(Protocol { losses: 1, start: World::deaf, ..OWNERS }, 11);
}

/// R02, R111: a worker's process dies, and another one begins in its place, while Redis loses its data. What the dead
/// one asked for may still arrive.
#[test]
fn the_protocol_holds_though_a_worker_begins_in_the_place_of_a_dead_one() {
    holds(Protocol { losses: 1, epochs: 3, writes: true, deaths: true, start: World::owned, ..OWNERS }, 9);
}

/// With a plain check of the epoch, a write can land after a claim.
#[test]
fn without_the_lock_a_stale_write_lands() {
    breaks(Without::Lock, Protocol { writes: true, start: World::owned, ..OWNERS }, FENCED_WRITES);
}

/// A slow renewal that extends the trust from its end outlives the lease.
#[test]
fn trust_from_a_renewals_end_makes_two_owners() {
    breaks(Without::Start, Protocol { start: World::owned, ..OWNERS }, ONE_OWNER);
}

/// A claimant that Redis refuses has already fenced the living owner.
#[test]
fn an_epoch_before_the_key_robs_the_owner() {
    breaks(Without::KeyFirst, Protocol { start: World::owned, ..OWNERS }, NOT_ROBBED);
}

/// If the owner can't reach Redis, only its heartbeat prevents a claim.
#[test]
fn a_claim_without_a_look_at_the_heartbeat_makes_two_owners() {
    breaks(Without::Heartbeat, Protocol { start: World::owned, ..OWNERS }, ONE_OWNER);
}

/// Two owners that both connect again replace each other for ever.
#[test]
fn a_blind_reconnect_after_replaced_is_found() {
    breaks(Without::Recheck, Protocol { start: World::owned, ..OWNERS }, RECHECKED);
}

/// An owner that can't reach Postgres is kept only by its key, which is gone.
#[test]
fn a_young_redis_that_is_believed_makes_two_owners() {
    breaks(Without::Youth, Protocol { losses: 1, start: World::deaf, ..OWNERS }, ONE_OWNER);
}

/// A claim reads the heartbeats as they were when its statement began. A worker that wakes between that and the end of
/// the statement has a fresh heartbeat, but is no owner any more.
#[test]
fn a_lapsed_right_that_is_resumed_makes_two_owners() {
    breaks(Without::Lapse, Protocol { start: World::owned, ..OWNERS }, ONE_OWNER);
}

/// Two workers that share a name: without the lock, the one that begins takes the accounts of the other, which lives.
#[test]
fn an_heir_without_the_lock_on_the_name_makes_two_owners() {
    breaks(Without::Name, Protocol { deaths: true, start: World::owned, ..OWNERS }, ONE_OWNER);
}
