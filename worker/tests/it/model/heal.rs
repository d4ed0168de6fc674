//! Pure. What becomes of a state when nothing fails any more: the liveness half of the protocol.

use super::step::{self, Act, Luck, Without};
use super::world::{WORKERS, World};

/// How long it takes at most until the account is served, in thirds of a lease's life: the whole life for what a dead
/// owner left, and another one for what is under way.
const WITHIN: u8 = 8;

/// In each third a worker renews, and then makes all possible steps with the account.
const TURN: [Act; 10] = [
    Act::Renew,
    Act::Beat,
    Act::Renew,
    Act::Notice,
    Act::EndKey,
    Act::EndRow,
    Act::Acquire,
    Act::Look,
    Act::Claim,
    Act::Confirm,
];

/// Whether the account is served soon by each worker alone (the other one is frozen or dead), and by both together.
pub(super) fn heals(world: &World, without: Without) -> bool {
    let lives = |w: &&usize| !world.workers[**w].dead;
    [&[0][..], &[1], &[0, 1]].into_iter().all(|alive| {
        let alive: Vec<usize> = alive.iter().filter(lives).copied().collect();
        alive.is_empty() || served(world.clone(), without, &alive)
    })
}

/// Whether a boot that has taken the place of a dead worker serves the account before any time has passed.
pub(super) fn heir_serves(world: &World, without: Without) -> bool {
    let mut heirs = (0..WORKERS).filter(|w| world.workers[*w].heir && !world.workers[*w].dead);
    heirs.all(|w| {
        let mut world = world.clone();
        // one turn ends what is no longer true, one claims, one connects
        (0..3).any(|_| turn(&mut world, without, w))
    })
}

fn served(mut world: World, without: Without, alive: &[usize]) -> bool {
    for _ in 0..WITHIN {
        if alive.iter().any(|w| turn(&mut world, without, *w)) {
            return true;
        }
        world.tick();
    }
    false
}

/// Makes all possible steps of one worker. Returns whether it serves the account then.
fn turn(world: &mut World, without: Without, w: usize) -> bool {
    for worker in &mut world.workers {
        worker.write = None; // Postgres finishes what it has begun
    }
    for act in TURN.into_iter().chain([Act::Connect]) {
        if step::enabled(world, without, w, act) {
            step::perform(world, without, w, act, Luck::Done);
        }
    }
    world.served_by(w)
}
