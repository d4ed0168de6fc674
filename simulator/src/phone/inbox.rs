//! The inbox of a phone: one bubble per message, with how often the message arrived.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// How many bubbles a phone keeps. The oldest are dropped first.
const BUBBLES_MAX: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Dm,
    Group,
    /// Sent by another device of the same account.
    Own,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bubble {
    pub(crate) id: String,
    pub(crate) chat: String,
    pub(crate) sender: String,
    pub(crate) sender_device: u16,
    pub(crate) text: String,
    pub(crate) kind: Kind,
    pub(crate) times_arrived: u64,
    pub(crate) server_received_at_us: u64,
    pub(crate) decrypted_at_us: u64,
    /// Whether this phone has sent a read receipt for the message.
    pub(crate) read: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bubbles: VecDeque<Bubble>,
    /// The position of each bubble by sender and id, counted from the first bubble ever.
    places: HashMap<(String, String), u64>,
    dropped: u64,
}

impl Inbox {
    pub(crate) fn from_bubbles(bubbles: Vec<Bubble>) -> Self {
        let mut inbox = Self::default();
        for bubble in bubbles {
            inbox.arrived(bubble);
        }
        inbox
    }

    /// Adds a decrypted message. Returns true if it makes a new bubble.
    pub(crate) fn arrived(&mut self, bubble: Bubble) -> bool {
        let key = (bubble.sender.clone(), bubble.id.clone());
        if let Some(place) = self.places.get(&key) {
            let index = usize::try_from(place - self.dropped).unwrap_or(usize::MAX);
            if let Some(known) = self.bubbles.get_mut(index) {
                known.times_arrived += bubble.times_arrived;
            }
            return false;
        }
        self.places.insert(key, self.dropped + self.bubbles.len() as u64);
        self.bubbles.push_back(bubble);
        if self.bubbles.len() > BUBBLES_MAX
            && let Some(oldest) = self.bubbles.pop_front()
        {
            self.places.remove(&(oldest.sender, oldest.id));
            self.dropped += 1;
        }
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bubble> {
        self.bubbles.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Bubble> {
        self.bubbles.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.bubbles.len()
    }
}
