//! A phone's incoming stanzas, read in order by a task that exists only while there are some.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wacore_binary::Node;

use super::receive;
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;

/// Stanzas that may wait for one phone to read them.
const WAITING_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) stanza: Node,
    pub(crate) received_at_us: u64,
}

#[derive(Default)]
pub(crate) struct Mailbox {
    letters: VecDeque<Letter>,
    being_read: bool,
}

/// Puts a stanza into the phone's mailbox and sees that somebody reads it.
pub(crate) fn post(world: &Arc<World>, account: &Arc<Account>, letter: Letter) {
    let mut mailbox = lock(&account.mailbox);
    if mailbox.letters.len() >= WAITING_MAX {
        world.stats.dropped.fetch_add(1, Ordering::Relaxed);
        return;
    }
    mailbox.letters.push_back(letter);
    world.letters_waiting.fetch_add(1, Ordering::Relaxed);
    if !std::mem::replace(&mut mailbox.being_read, true) {
        tokio::spawn(read_all(Arc::clone(world), Arc::clone(account)));
    }
}

async fn read_all(world: Arc<World>, account: Arc<Account>) {
    while let Some(letter) = next(&account) {
        receive::letter(&world, &account, letter).await;
        world.letters_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn next(account: &Account) -> Option<Letter> {
    let mut mailbox = lock(&account.mailbox);
    let letter = mailbox.letters.pop_front();
    if letter.is_none() {
        mailbox.being_read = false;
        mailbox.letters.shrink_to(0);
    }
    letter
}
