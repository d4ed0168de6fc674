//! User queries: whether a number is on WhatsApp, its LID, and its devices.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::peer::Peer;
use crate::wire;
use crate::world::World;
use crate::world::account::Account;

/// The highest number of users in one query.
const USERS_MAX: usize = 5_000;

pub(super) fn handle(peer: &mut Peer, request: &Node) {
    let Some(usync) = wire::child(request, "usync") else {
        peer.send(&wire::refusal(request, 400, "bad-request"));
        return;
    };
    let query = wire::child(usync, "query").map(wire::children).unwrap_or_default();
    let asked = wire::child(usync, "list").map(wire::children).unwrap_or_default();
    let world = &peer.world;
    let asker = peer.companion().map(|(_, address)| address.number);
    let users = asked.iter().take(USERS_MAX).map(|user| answer_user(world, user, query, asker.as_deref()));
    let list = wire::branch("list", users);
    let result = wire::branch("result", query.iter().filter_map(|n| protocol(&n.tag)).map(wire::empty));
    let answer = NodeBuilder::new("usync")
        .attr("sid", wire::string(usync, "sid"))
        .attr("mode", wire::string(usync, "mode"))
        .attr("context", wire::string(usync, "context"))
        .attr("index", 0_u32)
        .attr("last", "true")
        .children([result, list])
        .build();
    peer.send(&wire::result(request, [answer]));
}

/// The protocols that the simulator answers. Others are left out of the answer, which clients allow.
fn protocol(tag: &str) -> Option<&'static str> {
    match tag {
        "contact" => Some("contact"),
        "lid" => Some("lid"),
        "devices" => Some("devices"),
        _ => None,
    }
}

fn answer_user(world: &Arc<World>, user: &Node, query: &[Node], asker: Option<&str>) -> Node {
    let by_contact = wire::child(user, "contact")
        .map(|contact| String::from_utf8_lossy(wire::bytes(contact)).into_owned())
        .map(|text| text.trim_start_matches('+').to_owned())
        .filter(|number| !number.is_empty());
    let asked = wire::jid(user, "jid");
    let number = match (&asked, by_contact) {
        (Some(jid), _) => world.resolve(jid).map(|address| address.number),
        (None, by_contact) => by_contact,
    };
    let account = number.as_deref().and_then(|number| world.touch(number));
    if let (Some(account), Some(asker)) = (&account, asker)
        && query.iter().any(|asked| asked.tag == "devices")
    {
        world.listen_to_devices(account, asker);
    }
    let jid = asked.map(|jid| jid.to_non_ad()).unwrap_or_else(|| Jid::pn(number.as_deref().unwrap_or_default()));
    let mut answer = NodeBuilder::new("user").attr("jid", jid.clone());
    if let Some(account) = &account
        && jid.is_lid()
    {
        answer = answer.attr("pn_jid", account.jid());
    }
    let results = query.iter().filter_map(|asked| answer_protocol(world, account.as_deref(), &asked.tag));
    answer.children(results).build()
}

fn answer_protocol(world: &World, account: Option<&Account>, tag: &str) -> Option<Node> {
    match (protocol(tag)?, account) {
        ("contact", account) => {
            let kind = if account.is_some() { "in" } else { "out" };
            Some(NodeBuilder::new("contact").attr("type", kind).build())
        }
        ("lid", Some(account)) => Some(NodeBuilder::new("lid").attr("val", account.lid_jid()).build()),
        ("devices", Some(account)) => world.device_list(account),
        _ => None,
    }
}
