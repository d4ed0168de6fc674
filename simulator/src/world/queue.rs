//! The stanzas that wait for one companion. They are kept until the client confirms them, and sent again on its next
//! login.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wacore_binary::{Node, OwnedNodeRef, marshal};

use crate::wire;

/// The highest number of stanzas that wait for one device. Beyond that, the oldest is dropped (and counted).
const WAITING_MAX: usize = 50_000;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) sequence: u64,
    pub(crate) class: String,
    id: String,
    from: String,
    participant: String,
    #[serde(with = "super::b64")]
    stanza: Vec<u8>,
    /// The socket on which it was last sent. A new socket gets it again.
    #[serde(skip)]
    sent_on: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queue {
    next_sequence: u64,
    waiting: VecDeque<Waiting>,
    /// The sequence number of the last stanza sent on `cursor_socket`, so that sending takes linear time.
    #[serde(skip)]
    cursor: u64,
    #[serde(skip)]
    cursor_socket: u64,
}

impl Queue {
    /// Adds a stanza. Returns true if an old one had to be dropped.
    pub(crate) fn push(&mut self, node: &Node) -> anyhow::Result<bool> {
        let stanza = marshal(node)?;
        self.next_sequence += 1;
        self.waiting.push_back(Waiting {
            sequence: self.next_sequence,
            class: node.tag.to_string(),
            id: wire::string(node, "id"),
            from: wire::string(node, "from"),
            participant: wire::string(node, "participant"),
            stanza,
            sent_on: None,
        });
        let full = self.waiting.len() > WAITING_MAX;
        if full {
            self.waiting.pop_front();
        }
        Ok(full)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn count(&self, class: &str) -> usize {
        self.waiting.iter().filter(|w| w.class == class).count()
    }

    /// The next stanza that was not sent on `socket` yet, with its sequence number.
    pub(crate) fn next_for(&mut self, socket: u64) -> Option<(u64, Vec<u8>)> {
        if self.cursor_socket != socket {
            self.cursor_socket = socket;
            self.cursor = 0;
        }
        let start = self.waiting.partition_point(|w| w.sequence <= self.cursor);
        let next = self.waiting.get_mut(start)?;
        next.sent_on = Some(socket);
        self.cursor = next.sequence;
        Some((next.sequence, next.stanza.clone()))
    }

    /// Removes the first waiting stanza with `id` that was sent, after the client has confirmed it.
    pub(crate) fn confirm(&mut self, class: &str, id: &str, sender: &str, participant: &str) -> bool {
        let of_sender = |w: &Waiting| {
            sender.is_empty() || w.from == sender && (participant.is_empty() || w.participant == participant)
        };
        let found =
            self.waiting.iter().position(|w| w.sent_on.is_some() && w.class == class && w.id == id && of_sender(w));
        let found = found.or_else(|| {
            // a client may use another form of the sender's address (bare, or a LID), so the id decides
            self.waiting.iter().position(|w| w.sent_on.is_some() && w.class == class && w.id == id)
        });
        found.is_some_and(|index| self.waiting.remove(index).is_some())
    }
}

/// Decodes a waiting stanza. With `offline`, marks it as a stored one.
pub(crate) fn decode(stanza: Vec<u8>, offline: bool) -> anyhow::Result<Node> {
    // the first byte means "not compressed", as on the wire
    let bytes = wacore_binary::util::unpack_bytes(bytes::BytesMut::from(stanza.as_slice()))?;
    let mut node = OwnedNodeRef::new(bytes)?.to_owned_node();
    if offline {
        node.attrs.insert("offline", "0");
    }
    Ok(node)
}
