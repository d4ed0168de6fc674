//! A group: its members, their roles, and its form on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::wire;

/// The highest number of members of a group.
pub(crate) const MEMBERS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Member,
    Admin,
    Owner,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The user part of the group's address.
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) owner: String,
    pub(crate) created_s: u64,
    /// Whether only admins may post.
    pub(crate) announce: bool,
    pub(crate) members: BTreeMap<String, Role>,
}

impl Group {
    pub(crate) fn jid(&self) -> Jid {
        Jid::group(self.id.as_str())
    }

    pub(crate) fn is_member(&self, number: &str) -> bool {
        self.members.contains_key(number)
    }

    pub(crate) fn may_post(&self, number: &str) -> bool {
        match self.members.get(number) {
            Some(Role::Admin | Role::Owner) => true,
            Some(Role::Member) => !self.announce,
            None => false,
        }
    }

    /// The `<group>` element. `lid_of` returns the LID of a member.
    pub(crate) fn node(&self, lid_of: impl Fn(&str) -> String) -> Node {
        let mut children: Vec<Node> = self
            .members
            .iter()
            .map(|(number, role)| {
                let member = NodeBuilder::new("participant")
                    .attr("jid", Jid::pn(number.as_str()))
                    .attr("lid", Jid::lid(lid_of(number)));
                match role {
                    Role::Member => member,
                    Role::Admin => member.attr("type", "admin"),
                    Role::Owner => member.attr("type", "superadmin"),
                }
                .build()
            })
            .collect();
        if self.announce {
            children.push(wire::empty("announcement"));
        }
        NodeBuilder::new("group")
            .attr("id", self.id.as_str())
            .attr("subject", self.subject.as_str())
            .attr("creation", self.created_s)
            .attr("creator", Jid::pn(self.owner.as_str()))
            .attr("s_t", self.created_s)
            .attr("s_o", Jid::pn(self.owner.as_str()))
            .attr("addressing_mode", "pn")
            .attr("size", self.members.len())
            .children(children)
            .build()
    }
}
