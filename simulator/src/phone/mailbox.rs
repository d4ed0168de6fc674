//! The stanzas that a phone has to read, in order.

use std::collections::VecDeque;

use wacore_binary::Node;

/// How many stanzas may wait for one phone.
const WAITING_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) stanza: Node,
    pub(crate) received_at_us: u64,
}

/// The error for a full mailbox.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Default)]
pub(crate) struct Mailbox {
    letters: VecDeque<Letter>,
    being_read: bool,
}

impl Mailbox {
    /// Adds a letter. Returns true if no task is reading the mailbox. Then the caller must read it, until
    /// [`Mailbox::take`] returns `None`.
    pub(crate) fn put(&mut self, letter: Letter) -> Result<bool, Full> {
        if self.letters.len() >= WAITING_MAX {
            return Err(Full);
        }
        self.letters.push_back(letter);
        Ok(!std::mem::replace(&mut self.being_read, true))
    }

    /// The next letter. `None` means that the mailbox is empty and counts as not being read.
    pub(crate) fn take(&mut self) -> Option<Letter> {
        let letter = self.letters.pop_front();
        if letter.is_none() {
            self.being_read = false;
            self.letters.shrink_to(0);
        }
        letter
    }
}
