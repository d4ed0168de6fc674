//! The origin of a message.

use wacore_binary::{Jid, JidExt, Node};

use crate::wire;
use crate::world::World;
use crate::world::address::Address;

/// The origin of a message, from its stanza.
pub(super) struct Origin {
    pub(super) sender: Address,
    pub(super) group: Option<Jid>,
}

impl Origin {
    pub(super) fn of(world: &World, stanza: &Node) -> Option<Self> {
        let from = wire::jid(stanza, "from")?;
        let group = from.is_group().then_some(from.clone());
        let sender = match &group {
            Some(_) => wire::jid(stanza, "participant")?,
            None => from,
        };
        Some(Self { sender: world.resolve(&sender)?, group })
    }

    /// The chat as the admin API names it: a number or a group's address.
    pub(super) fn chat(&self) -> String {
        match &self.group {
            Some(group) => group.to_string(),
            None => self.sender.number.clone(),
        }
    }
}
