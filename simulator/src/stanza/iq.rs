//! Dispatches requests by namespace, and answers the simple ones.

use std::sync::atomic::Ordering;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::asked::unknown;
use super::{code, group, login, pair, passkey, prekeys, usync};
use crate::peer::Peer;
use crate::wire;

pub(super) fn handle(peer: &mut Peer, iq: &Node) -> anyhow::Result<()> {
    let kind = wire::string(iq, "type");
    if kind == "result" || kind == "error" {
        pair::answered(peer, iq);
        return Ok(());
    }
    peer.world.stats.iqs.fetch_add(1, Ordering::Relaxed);
    let namespace = wire::string(iq, "xmlns");
    match namespace.as_str() {
        "md" => device_management(peer, iq),
        "passive" => login::passive(peer, iq),
        "encrypt" => prekeys::handle(peer, iq),
        "usync" => usync::handle(peer, iq),
        "w:g2" => group::handle(peer, iq),
        "w:p" | "urn:xmpp:ping" => {
            peer.world.stats.pings.fetch_add(1, Ordering::Relaxed);
            peer.send(&wire::result(iq, []));
        }
        "abt" => peer.send(&wire::result(iq, [wire::empty("props")])),
        "w" => peer.send(&wire::result(iq, [])),
        "blocklist" => peer.send(&wire::result(iq, [wire::empty("list")])),
        "privacy" => peer.send(&privacy(iq)),
        "w:sync:app:state" => peer.send(&app_state(iq)),
        other => unknown(peer, iq, other),
    }
    Ok(())
}

fn device_management(peer: &mut Peer, iq: &Node) {
    if let Some(registration) = wire::child(iq, "link_code_companion_reg") {
        code::handle(peer, iq, registration);
        return;
    }
    if passkey::handle(peer, iq) {
        return;
    }
    let Some(removal) = wire::child(iq, "remove-companion-device") else {
        unknown(peer, iq, "md");
        return;
    };
    let Some((account, own)) = peer.companion() else {
        peer.send(&wire::refusal(iq, 401, "not-authorized"));
        return;
    };
    let named = wire::jid(removal, "jid").and_then(|jid| peer.world.resolve(&jid));
    let device = named.filter(|a| a.number == own.number).unwrap_or(own.clone());
    peer.send(&wire::result(iq, []));
    if device == own {
        peer.ending = Some(login::removed_itself());
        peer.world.unlink(&account, device.device, login::removed_itself());
    } else {
        let ending = crate::socket::Ending::device_removed();
        peer.world.unlink(&account, device.device, ending);
    }
}

fn privacy(iq: &Node) -> Node {
    if wire::is(iq, "type", "set") {
        return wire::result(iq, []);
    }
    let categories = [
        ("last", "all"),
        ("online", "all"),
        ("profile", "all"),
        ("status", "all"),
        ("readreceipts", "all"),
        ("groupadd", "all"),
        ("calladd", "all"),
    ];
    let categories =
        categories.map(|(name, value)| NodeBuilder::new("category").attr("name", name).attr("value", value).build());
    wire::result(iq, [wire::branch("privacy", categories)])
}

/// Answers that each app-state collection is empty, at version 0.
fn app_state(iq: &Node) -> Node {
    let asked = wire::child(iq, "sync").map(wire::children).unwrap_or_default();
    let collections = asked.iter().map(|collection| {
        NodeBuilder::new("collection").attr("name", wire::string(collection, "name")).attr("version", 0_u32).build()
    });
    wire::result(iq, [wire::branch("sync", collections)])
}
