//! A phone's incoming stanzas, in order.

use std::collections::VecDeque;

use wacore_binary::Node;

/// Stanzas that may wait for one phone to read them.
const WAITING_MAX: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) stanza: Node,
    pub(crate) received_at_us: u64,
}

/// The mailbox is full.
#[derive(Debug)]
pub(crate) struct Full;

#[derive(Default)]
pub(crate) struct Mailbox {
    letters: VecDeque<Letter>,
    being_read: bool,
}

impl Mailbox {
    /// Puts a letter in. Answers whether nobody reads the mailbox: whoever put this in has to, until [`Mailbox::take`] gives
    /// nothing any more.
    pub(crate) fn put(&mut self, letter: Letter) -> Result<bool, Full> {
        if self.letters.len() >= WAITING_MAX {
            return Err(Full);
        }
        self.letters.push_back(letter);
        Ok(!std::mem::replace(&mut self.being_read, true))
    }

    /// The next letter; none: nobody reads the mailbox any more.
    pub(crate) fn take(&mut self) -> Option<Letter> {
        let letter = self.letters.pop_front();
        if letter.is_none() {
            self.being_read = false;
            self.letters.shrink_to(0);
        }
        letter
    }
}
