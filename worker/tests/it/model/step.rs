//! Pure. The possible next steps, and their effects.

use super::world::{Claim, Key, Round, Socket, TRUST, TTL, Worker, World};

/// A rule that is left out of the protocol, to show that the checker finds the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// The complete protocol.
    Nothing,
    /// The epoch is checked without locking the row.
    Lock,
    /// Trust counts from a renewal's end instead of its start.
    Start,
    /// The epoch is raised before the key is won.
    KeyFirst,
    /// A claim does not check the owner's heartbeat.
    Heartbeat,
    /// After `replaced` a session connects again without checking lease and epoch.
    Recheck,
    /// A right that has lapsed is resumed with the next renewal.
    Lapse,
    /// Redis is trusted immediately after it has lost its data.
    Youth,
    /// A worker gives back what a former boot under its name owned without the lock that shows that it is dead.
    Name,
}

/// What happens to a request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Luck {
    Done,
    /// It never arrived.
    Lost,
    /// It took effect, but the answer was lost.
    Unheard,
}

/// The next act of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    Acquire,
    /// The claim's statement begins: it reads the heartbeats of this moment.
    Look,
    /// The statement ends: it has locked the row, and reads the owner of this moment.
    Claim,
    Confirm,
    /// Checks trust, and the row under the epoch. Then opens a socket.
    Connect,
    /// The check of a fenced write. `Land` commits it.
    Write,
    /// Gives the account back by itself.
    Release,
    EndKey,
    EndRow,
    /// The keeper's round begins, with Postgres.
    Beat,
    /// The round ends, with Redis.
    Renew,
    /// The keeper notices that trust is over.
    Notice,
    /// A boot begins in the place of the other worker, and gives back what it owned. The lock on the name stands for
    /// `dead`: names belong to one worker, so nobody else could take a lock whose connection broke.
    Inherit,
}

/// A step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Tick,
    Worker(usize, Act, Luck),
    Land(usize),
    /// Redis loses everything.
    Empty,
    Replicate,
    /// The replica takes over with its data.
    FailOver,
    /// The api raises the epoch: pair again, unpair.
    Raise,
    /// A worker's process dies.
    Die(usize),
}

/// Whether a worker may do this now.
pub(super) fn enabled(world: &World, without: Without, w: usize, act: Act) -> bool {
    let worker = &world.workers[w];
    let trusts = worker.trusted < TRUST;
    let held = matches!(worker.claim, Claim::Held(_));
    match act {
        Act::Acquire if without == Without::KeyFirst => matches!(worker.claim, Claim::Raised(_)),
        Act::Acquire => worker.claim == Claim::None && trusts,
        Act::Claim if world.locked() && without != Without::Lock => false,
        Act::Look if without == Without::KeyFirst => worker.claim == Claim::None && trusts,
        Act::Look => matches!(worker.claim, Claim::Won { .. }),
        Act::Claim => matches!(worker.claim, Claim::Looked { .. }),
        Act::Confirm => match without {
            Without::KeyFirst => {
                matches!(worker.claim, Claim::Raised(_)) && world.redis.key.is_some_and(|k| k.holder == w)
            }
            _ => matches!(worker.claim, Claim::Raised(_)),
        },
        Act::Connect if without == Without::Recheck && worker.socket == Socket::Replaced => held,
        Act::Connect => held && trusts && worker.socket != Socket::Open,
        Act::Write => held && trusts && worker.socket == Socket::Open && worker.write.is_none(),
        Act::Release => held,
        Act::EndKey => worker.claim == Claim::EndingKey,
        Act::EndRow => worker.claim == Claim::EndingRow,
        Act::Beat => worker.round.is_none(),
        Act::Renew => worker.round.is_some(),
        Act::Notice => held && !trusts,
        Act::Inherit => {
            let other = &world.workers[1 - w];
            let fresh = worker.claim == Claim::None && worker.round.is_none();
            fresh && !worker.heir && (other.dead || without == Without::Name)
        }
    }
}

/// Whether the act makes a request to a store, so that request or answer may be lost.
pub(super) fn asks(act: Act) -> bool {
    match act {
        Act::Acquire
        | Act::Claim
        | Act::Confirm
        | Act::EndKey
        | Act::EndRow
        | Act::Beat
        | Act::Renew
        | Act::Inherit => true,
        Act::Look | Act::Connect | Act::Write | Act::Release | Act::Notice => false,
    }
}

/// Carries out an act.
pub(super) fn perform(world: &mut World, without: Without, w: usize, act: Act, luck: Luck) {
    match act {
        Act::Acquire => acquire(world, without, w, luck),
        Act::Look => look(world, without, w),
        Act::Claim => claim(world, without, w, luck),
        Act::Confirm => confirm(world, w, luck),
        Act::Connect => connect(world, without, w),
        Act::Write => write(world, w),
        Act::Release | Act::Notice => world.workers[w].end(),
        Act::EndKey => {
            if luck != Luck::Lost {
                release_key(world, w);
            }
            world.workers[w].claim = Claim::EndingRow;
        }
        Act::EndRow => {
            if luck != Luck::Lost && world.postgres.owner == Some(w) {
                world.postgres.owner = None;
            }
            world.workers[w].claim = Claim::None;
        }
        Act::Beat => beat(world, without, w, luck),
        Act::Renew => renew(world, without, w, luck),
        Act::Inherit => inherit(world, w, luck),
    }
}

/// A request of a dead worker arrives after all. Nobody hears the answer, so the worker itself does not change.
pub(super) fn arrive(world: &mut World, without: Without, w: usize, act: Act) {
    let before = world.workers[w].clone();
    perform(world, without, w, act, Luck::Unheard);
    let seen = world.workers[w].seen;
    world.workers[w] = Worker { seen, ..before };
}

fn inherit(world: &mut World, w: usize, luck: Luck) {
    if luck == Luck::Lost {
        return;
    }
    world.workers[1 - w].stopped = true;
    if world.postgres.owner == Some(1 - w) {
        world.postgres.owner = None;
    }
    world.workers[w].heir |= luck == Luck::Done;
}

/// Compares and deletes, whatever the epoch.
fn release_key(world: &mut World, w: usize) {
    if world.redis.key.is_some_and(|key| key.holder == w) {
        world.redis.key = None;
    }
}

fn acquire(world: &mut World, without: Without, w: usize, luck: Luck) {
    if luck == Luck::Lost {
        return;
    }
    let won = world.redis.key.is_none_or(|key| key.holder == w || world.workers[w].heir);
    if won {
        world.redis.key = Some(Key { holder: w, epoch: 0, left: TTL });
    }
    match (without, won) {
        _ if luck == Luck::Unheard => {}
        (Without::KeyFirst, true) => {} // the next step confirms what was raised before
        (Without::KeyFirst, false) => give_up_claim(world, w),
        (_, true) => world.workers[w].claim = Claim::Won { young: world.redis.age < TTL },
        (_, false) => {}
    }
}

fn look(world: &mut World, without: Without, w: usize) {
    let young = matches!(world.workers[w].claim, Claim::Won { young: true }) && without != Without::Youth;
    let other = &world.workers[1 - w];
    let gone = other.stopped || other.seen >= TTL && !young;
    world.workers[w].claim = Claim::Looked { gone: gone || without == Without::Heartbeat };
}

fn claim(world: &mut World, without: Without, w: usize, luck: Luck) {
    let Claim::Looked { gone } = world.workers[w].claim else { return };
    let refused = world.postgres.owner.is_some_and(|owner| owner != w) && !gone;
    let claimed = luck != Luck::Lost && !refused;
    if claimed {
        let key = world.redis.key;
        let others = key.is_some_and(|key| key.holder != w && world.workers[key.holder].acts());
        world.seen.robbed |= without == Without::KeyFirst && others;
        world.postgres.epoch += 1;
        world.postgres.owner = Some(w);
    }
    if claimed && luck == Luck::Done {
        world.workers[w].claim = Claim::Raised(world.postgres.epoch);
    } else {
        release_key(world, w);
        world.workers[w].claim = Claim::None;
    }
}

/// Only under the epoch at which it was claimed.
fn give_up_claim(world: &mut World, w: usize) {
    if world.postgres.owner == Some(w) && world.workers[w].claim == Claim::Raised(world.postgres.epoch) {
        world.postgres.owner = None;
    }
    world.workers[w].claim = Claim::None;
}

fn confirm(world: &mut World, w: usize, luck: Luck) {
    let Claim::Raised(epoch) = world.workers[w].claim else { return };
    let ours = world.redis.key.is_some_and(|key| key.holder == w && key.epoch == 0);
    if ours && luck != Luck::Lost {
        world.redis.key = Some(Key { holder: w, epoch, left: TTL });
    }
    if ours && luck == Luck::Done {
        world.workers[w].claim = Claim::Held(epoch);
    } else {
        give_up_claim(world, w);
    }
}

/// WhatsApp keeps the newest socket of a device.
fn connect(world: &mut World, without: Without, w: usize) {
    let blind = without == Without::Recheck && world.workers[w].socket == Socket::Replaced;
    if !blind && world.workers[w].claim != Claim::Held(world.postgres.epoch) {
        return world.workers[w].end();
    }
    world.seen.blind_reconnect |= blind;
    for worker in &mut world.workers {
        if worker.socket == Socket::Open {
            worker.socket = Socket::Replaced;
        }
    }
    world.workers[w].socket = Socket::Open;
}

fn write(world: &mut World, w: usize) {
    match world.workers[w].claim {
        Claim::Held(epoch) if epoch == world.postgres.epoch => world.workers[w].write = Some(epoch),
        _ => world.workers[w].end(),
    }
}

/// A claim that has lapsed, or that Postgres denies, ends at once.
fn beat(world: &mut World, without: Without, w: usize, luck: Luck) {
    let ours = world.postgres.owner == Some(w);
    let worker = &mut world.workers[w];
    let heard = luck == Luck::Done;
    if worker.stopped {
        if heard {
            worker.end();
        }
        return;
    }
    if luck != Luck::Lost {
        worker.seen = 0;
    }
    if worker.trusted == TRUST && matches!(worker.claim, Claim::Held(_)) && without != Without::Lapse {
        worker.end();
    }
    let held = if let Claim::Held(epoch) = worker.claim { Some(epoch) } else { None };
    let kept = held.filter(|epoch| !heard || (ours && *epoch == world.postgres.epoch));
    worker.round = Some(Round { age: 0, held: kept, heard });
    if held != kept {
        worker.end();
    }
    // a claim without a session is given back
    if heard && ours && worker.claim == Claim::None {
        world.postgres.owner = None;
    }
}

fn renew(world: &mut World, without: Without, w: usize, luck: Luck) {
    let Some(round) = world.workers[w].round.take() else { return };
    let mut lost = false;
    if let Some(epoch) = round.held
        && luck != Luck::Lost
    {
        match world.redis.key {
            Some(key) if key.holder == w && key.epoch == epoch => world.redis.key = Some(Key { left: TTL, ..key }),
            None if round.heard => world.redis.key = Some(Key { holder: w, epoch, left: TTL }),
            Some(_) | None => lost = true,
        }
    }
    let worker = &mut world.workers[w];
    if !round.heard && luck == Luck::Done && lost && round.held.is_some_and(|epoch| worker.claim == Claim::Held(epoch))
    {
        worker.end();
    }
    if round.heard || luck == Luck::Done {
        let start = if without == Without::Start { 0 } else { round.age };
        worker.trusted = worker.trusted.min(start);
    }
}
