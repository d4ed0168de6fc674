//! The `encrypt` namespace: uploading keys, counting them, and returning bundles.

use std::sync::Arc;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::asked;
use crate::bundle::signed_key;
use crate::peer::Peer;
use crate::phone::key_share;
use crate::sync::lock;
use crate::wire;

/// The highest number of bundles in one request.
const USERS_MAX: usize = 2_048;

pub(super) fn handle(peer: &mut Peer, request: &Node) {
    if let Some(asked) = wire::child(request, "key") {
        let answer = bundles(peer, request, asked);
        peer.send(&answer);
        return;
    }
    let Some((account, address)) = peer.companion() else {
        peer.send(&wire::refusal(request, 401, "not-authorized"));
        return;
    };
    let mut companions = lock(&account.companions);
    let Some(companion) = companions.by_device.get_mut(&address.device) else {
        drop(companions);
        peer.send(&wire::refusal(request, 404, "item-not-found"));
        return;
    };
    let mut share_key = false;
    let answer = if wire::is(request, "type", "set") {
        if let Some(rotation) = wire::child(request, "rotate") {
            if let Some(signed) = wire::child(rotation, "skey") {
                companion.signed = signed_key(signed);
            }
        } else {
            companion.upload(request);
            share_key = !std::mem::replace(&mut companion.key_shared, true);
        }
        Some(wire::result(request, []))
    } else if wire::child(request, "digest").is_some() {
        Some(wire::result(request, [companion.digest()]))
    } else if wire::child(request, "count").is_some() {
        let count = NodeBuilder::new("count").attr("value", companion.one_time.len()).build();
        Some(wire::result(request, [count]))
    } else {
        None
    };
    drop(companions);
    peer.world.dirty();
    match answer {
        Some(answer) => peer.send(&answer),
        None => asked::unknown(peer, request, "encrypt"),
    }
    if share_key {
        let world = Arc::clone(&peer.world);
        tokio::spawn(async move {
            if let Err(error) = key_share::send(world, account, address.device).await {
                tracing::warn!(%error, "phone cannot share its app-state key");
            }
        });
    }
}

fn bundles(peer: &Peer, request: &Node, asked: &Node) -> Node {
    let users = wire::children(asked).iter().take(USERS_MAX).filter_map(|user| {
        let jid = wire::jid(user, "jid")?;
        let address = peer.world.resolve(&jid)?;
        Some(peer.world.bundle_user(&address, jid))
    });
    wire::result(request, [wire::branch("list", users)])
}
