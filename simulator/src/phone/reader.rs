//! Reads a phone's mailbox, in a task that exists only while the mailbox is not empty.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::mailbox::Letter;
use super::receive;
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;

/// Puts a stanza into the phone's mailbox, and starts a reader if there is none.
pub(crate) fn post(world: &Arc<World>, account: &Arc<Account>, letter: Letter) {
    world.letters_waiting.fetch_add(1, Ordering::Relaxed); // before a reader can count it off
    let Ok(is_idle) = lock(&account.mailbox).put(letter) else {
        world.letters_waiting.fetch_sub(1, Ordering::Relaxed);
        world.stats.dropped.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if is_idle {
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
    lock(&account.mailbox).take()
}
