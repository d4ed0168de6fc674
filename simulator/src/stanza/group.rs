//! The `w:g2` namespace: querying, creating and changing groups.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};

use super::asked;
use crate::peer::Peer;
use crate::wire;
use crate::world::group::{Group, Role};

pub(super) fn handle(peer: &mut Peer, request: &Node) {
    let Some((_, own)) = peer.companion() else {
        peer.send(&wire::refusal(request, 401, "not-authorized"));
        return;
    };
    let Some(asked) = wire::children(request).first().cloned() else {
        peer.send(&wire::refusal(request, 400, "bad-request"));
        return;
    };
    let to = wire::jid(request, "to").filter(|jid| jid.is_group() && !jid.user.is_empty());
    let answer = match to {
        None => about_all(peer, request, &asked, &own.number),
        Some(jid) => match peer.world.group(&jid.user) {
            None => Some(wire::refusal(request, 404, "item-not-found")),
            Some(group) if !group.is_member(&own.number) => Some(wire::refusal(request, 403, "forbidden")),
            Some(group) => about_one(peer, request, &asked, &own.number, &group),
        },
    };
    match answer {
        Some(answer) => peer.send(&answer),
        None => asked::unknown(peer, request, "w:g2"),
    }
}

fn node(peer: &Peer, group: &Group) -> Node {
    group.node(|number| peer.world.lid_of(number))
}

/// Handles requests to the group server itself.
fn about_all(peer: &Peer, request: &Node, asked: &Node, own: &str) -> Option<Node> {
    match asked.tag.as_ref() {
        "participating" => {
            let groups = peer.world.groups_of(own);
            let groups = groups.iter().map(|group| node(peer, group));
            Some(wire::result(request, [wire::branch("groups", groups)]))
        }
        "create" => {
            let members: Vec<String> = asked::participants(peer, asked).into_iter().map(|(_, number)| number).collect();
            let subject = wire::string(asked, "subject");
            Some(match peer.world.create_group(&subject, own, &members) {
                Ok(group) => wire::result(request, [node(peer, &group)]),
                Err(_) => wire::refusal(request, 406, "not-acceptable"),
            })
        }
        "leave" => {
            for group in wire::children(asked) {
                if let Some(jid) = wire::jid(group, "id") {
                    let own = [own.to_owned()];
                    let left = peer.world.remove_members(&jid.user, &own[0], &own);
                    tracing::debug!(ok = left.is_ok(), "left a group");
                }
            }
            Some(wire::result(request, []))
        }
        _ => None,
    }
}

/// Handles requests to one group of which the client is a member.
fn about_one(peer: &Peer, request: &Node, asked: &Node, own: &str, group: &Group) -> Option<Node> {
    let world = &peer.world;
    let id = group.id.as_str();
    let tag = asked.tag.as_ref();
    if tag == "query" {
        return Some(wire::result(request, [node(peer, group)]));
    }
    let is_admin = group.members.get(own).is_some_and(|role| *role != Role::Member);
    if !is_admin {
        return Some(wire::refusal(request, 403, "forbidden"));
    }
    let named = asked::participants(peer, asked);
    let numbers: Vec<String> = named.iter().map(|(_, number)| number.clone()).collect();
    let changed = match tag {
        "add" => world.add_members(id, own, &numbers),
        "remove" => world.remove_members(id, own, &numbers),
        "promote" => world.set_roles(id, own, &numbers, Role::Admin),
        "demote" => world.set_roles(id, own, &numbers, Role::Member),
        "announcement" => world.set_announce(id, own, true),
        "not_announcement" => world.set_announce(id, own, false),
        "subject" => {
            let subject = String::from_utf8_lossy(wire::bytes(asked)).into_owned();
            world.set_subject(id, own, &subject)
        }
        _ => return None,
    };
    Some(match changed {
        Ok(_) if named.is_empty() => wire::result(request, []),
        Ok(_) => wire::result(request, [echo(asked, &named)]),
        Err(_) => wire::refusal(request, 406, "not-acceptable"),
    })
}

/// Repeats the change with a success for each participant.
fn echo(asked: &Node, named: &[(Jid, String)]) -> Node {
    let participants =
        named.iter().map(|(jid, _)| NodeBuilder::new("participant").attr("jid", jid).attr("type", "200").build());
    NodeBuilder::new_dynamic(asked.tag.to_string()).children(participants).build()
}
