//! Groups of the world: creating them, and changing members, roles and settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::World;
use super::group::{Group, MEMBERS_MAX, Role};
use crate::sync::lock;
use crate::{clock, keys, wire};

/// The highest number of groups in the world.
const GROUPS_MAX: usize = 20_000;

impl World {
    pub(crate) fn group(&self, id: &str) -> Option<Group> {
        lock(&self.index).groups.get(id).cloned()
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        lock(&self.index).groups.values().cloned().collect()
    }

    pub(crate) fn groups_of(&self, number: &str) -> Vec<Group> {
        let index = lock(&self.index);
        let of_number = index.groups.values().filter(|g| g.is_member(number));
        of_number.cloned().collect()
    }

    /// Creates a group and notifies the companions of its members.
    pub(crate) fn create_group(
        self: &Arc<Self>,
        subject: &str,
        owner: &str,
        members: &[String],
    ) -> anyhow::Result<Group> {
        let mut roles = BTreeMap::new();
        for number in members.iter().map(String::as_str).chain([owner]) {
            self.touch(number).with_context(|| format!("{number} is not on WhatsApp"))?;
            roles.insert(number.to_owned(), Role::Member);
        }
        roles.insert(owner.to_owned(), Role::Owner);
        ensure!(roles.len() <= MEMBERS_MAX, "a group has at most {MEMBERS_MAX} members");
        let tail = u64::from_be_bytes(keys::random_bytes::<8>()) % 100_000_000_000;
        let group = Group {
            id: format!("1203630{tail:011}"),
            subject: subject.to_owned(),
            owner: owner.to_owned(),
            created_s: clock::unix_s(),
            announce: false,
            members: roles,
        };
        {
            let mut index = lock(&self.index);
            ensure!(index.groups.len() < GROUPS_MAX, "there are too many groups");
            index.groups.insert(group.id.clone(), group.clone());
        }
        let change =
            NodeBuilder::new("create").attr("type", "new").children([group.node(|number| self.lid_of(number))]).build();
        self.notify_group(&group, owner, &change);
        self.dirty();
        Ok(group)
    }

    /// Changes a group under the lock. Returns the changed group and the closure's result.
    fn change_group<T>(&self, id: &str, change: impl FnOnce(&mut Group) -> T) -> anyhow::Result<(Group, T)> {
        let mut index = lock(&self.index);
        let group = index.groups.get_mut(id).context("no such group")?;
        let answer = change(group);
        let group = group.clone();
        drop(index);
        self.dirty();
        Ok((group, answer))
    }

    pub(crate) fn add_members(self: &Arc<Self>, id: &str, actor: &str, members: &[String]) -> anyhow::Result<Group> {
        for number in members {
            self.touch(number).with_context(|| format!("{number} is not on WhatsApp"))?;
        }
        let (group, added) = self.change_group(id, |group| {
            let mut added = Vec::new();
            for number in members {
                if group.members.len() < MEMBERS_MAX && !group.is_member(number) {
                    group.members.insert(number.clone(), Role::Member);
                    added.push(number.clone());
                }
            }
            added
        })?;
        if !added.is_empty() {
            self.notify_group(&group, actor, &participants("add", &added));
        }
        Ok(group)
    }

    pub(crate) fn remove_members(self: &Arc<Self>, id: &str, actor: &str, members: &[String]) -> anyhow::Result<Group> {
        let (group, removed) = self.change_group(id, |group| {
            let mut removed = members.to_vec();
            removed.retain(|number| group.members.remove(number).is_some());
            removed
        })?;
        if !removed.is_empty() {
            let change = participants("remove", &removed);
            self.notify_group(&group, actor, &change);
            for number in &removed {
                self.notify_group_member(&group, actor, &change, number);
            }
        }
        Ok(group)
    }

    pub(crate) fn set_roles(
        self: &Arc<Self>,
        id: &str,
        actor: &str,
        members: &[String],
        role: Role,
    ) -> anyhow::Result<Group> {
        let (group, changed) = self.change_group(id, |group| {
            let mut changed = members.to_vec();
            changed.retain(|number| match group.members.get_mut(number) {
                Some(known) if *known != Role::Owner && *known != role => {
                    *known = role;
                    true
                }
                _ => false,
            });
            changed
        })?;
        let tag = if role == Role::Admin { "promote" } else { "demote" };
        if !changed.is_empty() {
            self.notify_group(&group, actor, &participants(tag, &changed));
        }
        Ok(group)
    }

    pub(crate) fn set_announce(self: &Arc<Self>, id: &str, actor: &str, announce: bool) -> anyhow::Result<Group> {
        let (group, ()) = self.change_group(id, |group| group.announce = announce)?;
        let tag = if announce { "announcement" } else { "not_announcement" };
        self.notify_group(&group, actor, &wire::empty(tag));
        Ok(group)
    }

    pub(crate) fn set_subject(self: &Arc<Self>, id: &str, actor: &str, subject: &str) -> anyhow::Result<Group> {
        let (group, ()) = self.change_group(id, |group| group.subject = subject.to_owned())?;
        let change = NodeBuilder::new("subject")
            .attr("subject", subject)
            .attr("s_t", clock::unix_s())
            .attr("s_o", Jid::pn(actor))
            .build();
        self.notify_group(&group, actor, &change);
        Ok(group)
    }
}

fn participants(tag: &'static str, numbers: &[String]) -> Node {
    let nodes =
        numbers.iter().map(|number| NodeBuilder::new("participant").attr("jid", Jid::pn(number.as_str())).build());
    wire::branch(tag, nodes)
}
