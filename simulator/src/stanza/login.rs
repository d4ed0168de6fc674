//! The first answer on a connection: an offer to pair, success, or a failure.

use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::pair;
use crate::fault::{self, Kind};
use crate::handshake::Introduction;
use crate::pairing::Pairing;
use crate::peer::{Peer, Role};
use crate::socket::Ending;
use crate::sync::lock;
use crate::{clock, wire};

/// The failure for a device that is not linked, or that uses the wrong key.
const LOGGED_OUT: u16 = 401;

/// Decides what the connection is for. The error is boxed because it contains a stanza.
pub(crate) fn admit(peer: &mut Peer, introduction: &Introduction) -> Result<(), Box<Ending>> {
    if let Some(registration) = introduction.payload.device_pairing_data.as_option() {
        let pairing = Pairing::new(introduction, registration)
            .map_err(|error| Box::new(Ending::closed(format!("registration: {error}"))))?;
        peer.role = Role::Pairing(Box::new(pairing));
        peer.socket.set_pairing(true);
        pair::offer_references(peer);
        return Ok(());
    }
    log_in(peer, &introduction.payload, &introduction.client_static).inspect_err(|_| {
        let refused = &peer_stats(peer).logins_refused;
        refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    })
}

fn peer_stats(peer: &Peer) -> &crate::stats::Stats {
    &peer.world.stats
}

fn log_in(peer: &mut Peer, payload: &wa::ClientPayload, client_static: &[u8; 32]) -> Result<(), Box<Ending>> {
    let number = payload.username.unwrap_or_default().to_string();
    let device = u16::try_from(payload.device.unwrap_or_default()).unwrap_or_default();
    let faults = &peer.world.faults;
    if let Some(order) = faults.take(Kind::TemporaryBan, &number, device) {
        return Err(Box::new(fault::ban(&order)));
    }
    if let Some(order) = faults.take(Kind::RefuseLogins, &number, device) {
        return Err(Box::new(Ending::failure(order.code.unwrap_or(503), &[])));
    }
    let account = peer.world.account(&number);
    let known = account.filter(|account| {
        let mut companions = lock(&account.companions);
        let companion = companions.by_device.get_mut(&device);
        let companion = companion.filter(|c| c.noise_key == *client_static);
        companion.is_some_and(|companion| {
            if let Some(name) = &payload.push_name
                && !name.is_empty()
            {
                companion.push_name.clone_from(name);
            }
            true
        })
    });
    let Some(account) = known else {
        return Err(Box::new(Ending::failure(LOGGED_OUT, &[])));
    };
    let success = NodeBuilder::new("success")
        .attr("t", clock::unix_s())
        .attr("lid", account.lid_jid().with_device(device))
        .attr("props", 1_u32)
        .attr("location", "sim")
        .attr("status", "active")
        .build();
    peer.send(&success);
    peer.log_in(account, device);
    Ok(())
}

/// The end of a connection whose client has removed its own device.
pub(super) fn removed_itself() -> Ending {
    let mut ending = Ending::device_removed();
    ending.reason = "client_logout".to_owned();
    ending
}

/// Answers `<iq xmlns="passive">`. After `<active/>`, stanzas are sent.
pub(super) fn passive(peer: &mut Peer, iq: &wacore_binary::Node) {
    peer.send(&wire::result(iq, []));
    if wire::child(iq, "active").is_some() {
        peer.activate();
    }
}
