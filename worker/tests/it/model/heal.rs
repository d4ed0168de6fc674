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
    [&[0][..], &[1], &[0, 1]].into_iter().all(|alive| served(world.clone(), without, alive))
}

fn served(mut world: World, without: Without, alive: &[usize]) -> bool {
    for _ in 0..WITHIN {
        for w in 0..WORKERS {
            world.workers[w].write = None; // Postgres finishes what it has begun
        }
        for w in alive {
            for act in TURN.into_iter().chain([Act::Connect]) {
                if step::enabled(&world, without, *w, act) {
                    step::perform(&mut world, without, *w, act, Luck::Done);
                }
            }
            if world.served_by(*w) {
                return true;
            }
        }
        world.tick();
    }
    false
}
