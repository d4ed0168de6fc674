//! The rules of placement by name, and a simulation of large fleets.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::DateTime;
use domain::id::WorkerId;
use uuid::Uuid;
use worker::fleet::placement::{AFTER_OVERFLOW, Fleet, GRACE, Member, Plan, SHED_PER_S};

/// How often a worker looks, in seconds.
const ROUND_S: u64 = 2;
/// After how many rounds it tells the others how many accounts it holds.
const HEARTBEAT: usize = 3;

fn id(n: usize) -> WorkerId {
    WorkerId(Uuid::from_u128(n as u128))
}

fn member(n: usize, held: u32, release: &str) -> Member {
    let started_at = DateTime::from_timestamp(n as i64, 0).unwrap();
    Member { id: id(n), held, capacity: 5_000, release: release.to_owned(), started_at }
}

fn fleet(wanted: u32, members: Vec<Member>) -> Fleet {
    Fleet { members, wanted }
}

/// A worker that the others don't see (it leaves, or its heartbeat is late) takes nothing.
#[test]
fn whoever_is_not_in_the_fleet_does_nothing() {
    assert_eq!(fleet(10, vec![member(1, 0, "1")]).plan(id(2), 0), Plan::default());
    assert_eq!(Fleet::default().plan(id(2), 0), Plan::default());
}

/// Below its share a worker claims at once. Above it, a worker claims only accounts that have been free for a while.
#[test]
fn a_fair_share_is_claimed_at_once_and_the_rest_after_a_grace() {
    let plan = fleet(10, vec![member(1, 0, "1"), member(2, 0, "1"), member(3, 0, "1")]).plan(id(1), 0);
    assert_eq!(plan, Plan { target: 4, at_once: 4, after_grace: 5_000, urgent: 5_000, shed: 0 });
}

/// The others share what small workers can't hold.
#[test]
fn the_overflow_of_small_workers_goes_to_the_others() {
    let mut small = member(1, 0, "1");
    small.capacity = 10;
    let fleet = fleet(1_000, vec![small, member(2, 0, "1"), member(3, 0, "1")]);
    assert_eq!(fleet.plan(id(1), 0).target, 10);
    assert_eq!(fleet.plan(id(2), 0).target, 495);
}

/// If there are too many accounts, every worker is filled up to its capacity.
#[test]
fn a_target_never_exceeds_the_capacity() {
    let plan = fleet(100_000, vec![member(1, 5_000, "1"), member(2, 5_000, "1")]).plan(id(1), 5_000);
    assert_eq!((plan.target, plan.after_grace, plan.shed), (5_000, 5_000, 0));
}

/// A worker sheds nothing for a difference of less than a tenth, and nothing that no other worker lacks.
#[test]
fn small_differences_are_left_alone() {
    assert_eq!(fleet(200, vec![member(1, 109, "1"), member(2, 91, "1")]).plan(id(1), 109).shed, 0);
    assert_eq!(fleet(200, vec![member(1, 120, "1"), member(2, 80, "1")]).plan(id(1), 120).shed, 20);
    // the others are as full, so these accounts are not too many
    assert_eq!(fleet(200, vec![member(1, 120, "1"), member(2, 100, "1")]).plan(id(1), 120).shed, 0);
}

/// A worker that joined lacks its whole share, although each of the others has only a few too many.
#[test]
fn a_newcomer_is_given_its_share_by_many_who_have_few_too_many() {
    let mut members: Vec<Member> = (1..=50).map(|n| member(n, 2_000, "1")).collect();
    members.push(member(51, 0, "1"));
    assert_eq!(fleet(100_000, members).plan(id(7), 2_000).shed, 39);
}

/// During a rolling release older workers leave free accounts to the newest ones, and no worker sheds.
#[test]
fn during_a_roll_the_newest_release_is_preferred() {
    let fleet = fleet(12, vec![member(1, 4, "1"), member(2, 4, "1"), member(3, 0, "2")]);
    let older = fleet.plan(id(1), 4);
    assert_eq!(older, Plan { target: 4, at_once: 0, after_grace: 5_000, urgent: 0, shed: 0 });
    let newest = fleet.plan(id(3), 0);
    assert_eq!((newest.target, newest.at_once, newest.urgent, newest.shed), (4, 4, 5_000, 0));
    assert_eq!(fleet.plan(id(3), 9).shed, 0);
}

/// The newest release is the one whose first worker started last, whatever its name, and whichever workers were
/// restarted since.
#[test]
fn a_restarted_old_worker_does_not_make_its_release_the_newest() {
    let fleet = fleet(12, vec![member(1, 4, "9"), member(5, 0, "10"), member(7, 0, "9")]);
    assert_eq!(fleet.plan(id(7), 0).at_once, 0);
    assert_eq!(fleet.plan(id(5), 0).at_once, 8);
}

/// A person never waits because the newest workers are full.
#[test]
fn older_workers_help_a_person_when_the_newest_are_full() {
    let mut full = member(2, 10, "2");
    full.capacity = 10;
    let plan = fleet(100, vec![member(1, 50, "1"), full]).plan(id(1), 50);
    assert_eq!((plan.at_once, plan.urgent), (0, 5_000));
}

/// One new worker beside many old ones does not get everything that the old ones lose.
#[test]
fn a_canary_gets_twice_a_fair_part_at_most() {
    let mut members: Vec<Member> = (1..=45).map(|n| member(n, 2_000, "1")).collect();
    members.push(member(51, 0, "2"));
    assert_eq!(fleet(100_000, members).plan(id(51), 0).target, 2 * 2_174);
}

struct Worker {
    member: Member,
    accounts: VecDeque<usize>,
    overflowed: Option<u64>,
    /// It is alive and claims nothing.
    stuck: bool,
}

/// Many workers and accounts, in rounds of two seconds. Each worker sees its own current load, and the loads of others
/// at their last heartbeat.
struct World {
    workers: Vec<Worker>,
    /// The free accounts, each with the second since when it is free.
    free: Vec<(usize, u64)>,
    moves: Vec<u32>,
    round: usize,
    started: usize,
    random: u64,
}

impl World {
    /// `accounts` shared by `workers` of the first release, before anything has moved.
    fn settled(workers: usize, accounts: usize) -> Self {
        let free = (0..accounts).map(|account| (account, 0)).collect();
        let mut world = Self {
            workers: vec![],
            free,
            moves: vec![0; accounts],
            round: 0,
            started: 0,
            random: 0x9E37_79B9_7F4A_7C15,
        };
        for _ in 0..workers {
            world.join("1");
        }
        world.until_quiet();
        world.moves.fill(0);
        world
    }

    fn next_random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % below as u64).unwrap()
    }

    fn join(&mut self, release: &str) {
        self.started += 1;
        let member = member(self.started, 0, release);
        self.workers.push(Worker { member, accounts: VecDeque::new(), overflowed: None, stuck: false });
    }

    fn now(&self) -> u64 {
        self.round as u64 * ROUND_S
    }

    /// Frees its accounts: it has stopped, or its heartbeat is stale.
    fn lose(&mut self, n: usize) -> Vec<usize> {
        let lost = self.workers.remove(n).accounts;
        let now = self.now();
        self.free.extend(lost.iter().map(|account| (*account, now)));
        lost.into()
    }

    fn oldest_of(&self, release: &str) -> usize {
        self.workers.iter().position(|worker| worker.member.release == release).unwrap()
    }

    /// A round of every worker, in another order each time. Returns whether an account moved.
    fn round(&mut self) -> bool {
        self.round += 1;
        for (n, worker) in self.workers.iter_mut().enumerate() {
            if (self.round + n).is_multiple_of(HEARTBEAT) {
                worker.member.held = u32::try_from(worker.accounts.len()).unwrap();
            }
        }
        let first = self.next_random(self.workers.len());
        let mut moved = false;
        for n in 0..self.workers.len() {
            moved |= self.look((first + n) % self.workers.len());
        }
        moved
    }

    fn look(&mut self, n: usize) -> bool {
        let members = self.workers.iter().map(|worker| worker.member.clone()).collect();
        let fleet = fleet(u32::try_from(self.moves.len()).unwrap(), members);
        let held = self.workers[n].accounts.len();
        let plan = fleet.plan(id(self.number(n)), u32::try_from(held).unwrap());
        let overflow = held >= plan.at_once as usize;
        let up_to = if overflow { plan.after_grace } else { plan.at_once } as usize;
        let claimed = if self.workers[n].stuck { 0 } else { self.claim(n, up_to.saturating_sub(held), overflow) };
        if overflow && claimed > 0 {
            self.workers[n].overflowed = Some(self.now());
        }
        let patient = self.workers[n].overflowed.is_some_and(|at| self.now() - at < AFTER_OVERFLOW.as_secs());
        let shed = if patient { 0 } else { u64::from(plan.shed).min(u64::from(SHED_PER_S) * ROUND_S) };
        for _ in 0..shed {
            let account = self.workers[n].accounts.pop_front().unwrap();
            self.free.push((account, self.now()));
        }
        claimed > 0 || shed > 0
    }

    fn number(&self, n: usize) -> usize {
        usize::try_from(self.workers[n].member.id.0.as_u128()).unwrap()
    }

    fn claim(&mut self, n: usize, limit: usize, overflow: bool) -> usize {
        let unowned_for = if overflow { GRACE } else { Duration::ZERO };
        let now = self.now();
        let mut kept = Vec::new();
        let mut claimed = 0;
        while claimed < limit && !self.free.is_empty() {
            let pick = self.next_random(self.free.len());
            let (account, since) = self.free.swap_remove(pick);
            if now - since < unowned_for.as_secs() {
                kept.push((account, since));
                continue;
            }
            self.moves[account] += 1;
            self.workers[n].accounts.push_back(account);
            claimed += 1;
        }
        self.free.extend(kept);
        claimed
    }

    /// Runs until nothing has moved for a minute. Returns the rounds until the last move.
    fn until_quiet(&mut self) -> usize {
        let (start, mut last) = (self.round, self.round);
        while self.round - last < 30 {
            if self.round() {
                last = self.round;
            }
            assert!(self.round - start < 3_000, "it never comes to rest: {:?}", self.loads());
        }
        assert!(self.free.is_empty(), "everything has an owner");
        last - start
    }

    fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.accounts.len()).collect()
    }

    fn moved(&self) -> usize {
        self.moves.iter().map(|moves| *moves as usize).sum()
    }

    /// Checks that no load is more than a tenth off the fair one.
    fn assert_balanced(&self) {
        let fair = self.moves.len().div_ceil(self.workers.len());
        for load in self.loads() {
            assert!(load.abs_diff(fair) <= (fair / 10).max(1), "{fair} each would be fair: {:?}", self.loads());
        }
    }

    /// A rolling release: `at_once` new workers start, and then as many old ones stop one after the other, until no old
    /// one is left.
    fn roll_with_surge(&mut self, at_once: usize) {
        let mut old = self.workers.len();
        while old > 0 {
            let batch = at_once.min(old);
            for _ in 0..batch {
                self.join("2");
            }
            for _ in 0..batch {
                let oldest = self.oldest_of("1");
                self.lose(oldest);
                self.round();
                assert!(self.free.is_empty(), "what an old worker frees is taken at once");
            }
            old -= batch;
        }
    }
}

/// A worker joins fifty others. It gets its share with about N/51 moves, and then nothing moves any more.
#[test]
fn a_joining_worker_costs_its_share_of_moves() {
    let mut world = World::settled(50, 100_000);
    world.join("1");
    let rounds = world.until_quiet();
    let fair = 100_000 / 51;
    assert!((fair * 9 / 10..=fair * 11 / 10).contains(&world.moved()), "{}", world.moved());
    assert!(world.moves.iter().all(|moves| *moves <= 1), "no device moves twice");
    assert!(rounds <= 20, "{rounds} rounds");
    world.assert_balanced();
}

/// A worker crashes. Its accounts move once each, and no others move.
#[test]
fn a_crash_moves_only_the_accounts_of_the_dead() {
    let mut world = World::settled(50, 100_000);
    let lost = world.lose(17);
    let rounds = world.until_quiet();
    assert_eq!(world.moved(), lost.len());
    assert!(lost.iter().all(|account| world.moves[*account] == 1));
    assert!(rounds <= 5, "{rounds} rounds");
    world.assert_balanced();
}

/// Tens of workers come and go. Loads stay even, and each change costs only the necessary moves.
#[test]
fn growing_and_shrinking_never_oscillates() {
    let mut world = World::settled(50, 100_000);
    for _ in 0..10 {
        world.join("1");
    }
    world.until_quiet();
    world.assert_balanced();
    assert!(world.moved() <= 100_000 * 10 / 60 * 11 / 10, "{}", world.moved());
    let mut lost = 0;
    world.moves.fill(0);
    for _ in 0..10 {
        lost += world.lose(3).len();
    }
    world.until_quiet();
    world.assert_balanced();
    assert_eq!(world.moved(), lost);
}

/// A rolling release with a surge, of three and of fifty workers, one by one and a quarter at a time. Every account
/// moves exactly once, the loads are even at the end, and nothing moves afterwards.
#[test]
fn a_roll_with_surge_moves_every_account_exactly_once() {
    for (workers, accounts, surge) in
        [(3, 12, 1), (3, 6_000, 1), (50, 100_000, 1), (50, 100_000, 13), (50, 100_000, 50)]
    {
        let mut world = World::settled(workers, accounts);
        world.roll_with_surge(surge);
        assert_eq!(world.until_quiet(), 0, "nothing moves afterwards");
        assert!(world.moves.iter().all(|moves| *moves == 1), "{workers} workers, {surge} at a time");
        world.assert_balanced();
    }
}

/// Without a surge only old workers have room, so they take free accounts before the first new worker is up. Every
/// account has an owner all the time, and the loads are even at the end.
#[test]
fn a_roll_without_surge_is_available_and_ends_even() {
    for (workers, accounts) in [(3, 6_000), (50, 100_000)] {
        let mut world = World::settled(workers, accounts);
        for _ in 0..workers {
            let oldest = world.oldest_of("1");
            world.lose(oldest);
            for _ in 0..5 {
                world.round(); // the grace period may be needed
            }
            assert!(world.free.is_empty());
            world.join("2");
        }
        world.until_quiet();
        world.assert_balanced();
        assert!(world.moved() <= accounts * 5 / 2, "{} moves", world.moved());
    }
}

/// The new release has no room (it is misconfigured). After the grace period the old workers take what is free.
#[test]
fn old_workers_take_what_the_new_ones_cannot() {
    let mut world = World::settled(10, 20_000);
    world.join("2");
    world.workers.last_mut().unwrap().member.capacity = 100;
    let lost = world.lose(0);
    world.until_quiet();
    assert_eq!(world.moved(), lost.len());
    assert_eq!(world.workers.last().unwrap().accounts.len(), 100);
}

/// A worker is alive and takes nothing. The others take what it leaves, and don't hand it over repeatedly.
#[test]
fn a_worker_that_takes_nothing_does_not_keep_accounts_moving() {
    let mut world = World::settled(10, 10_000);
    world.join("1");
    world.workers.last_mut().unwrap().stuck = true;
    for _ in 0..150 {
        world.round(); // five minutes
    }
    let per_pause = 10 * (SHED_PER_S as usize) * 8; // until the first come back and the grace period is over
    assert!(world.moved() <= 6 * per_pause, "{}", world.moved());
    assert!(world.free.len() < per_pause);
}
