//! Faults that act on open connections.

use super::World;
use crate::fault::{Fault, Kind, Order, blow};
use crate::socket::Ending;
use crate::sync::lock;

impl World {
    /// Switches a fault on. Immediate faults act on open sockets now.
    pub(crate) fn switch_on(&self, order: Order) -> Fault {
        self.faults.switch_on(order, |order| strike(self, order))
    }
}

/// Sends the fault to the sockets it targets. Returns how many it reached.
fn strike(world: &World, order: &Order) -> u64 {
    let most = match order.kind {
        Kind::TemporaryBan => u64::MAX,
        _ => order.count.unwrap_or(u64::MAX),
    };
    let mut fired = 0;
    let mut hit: std::collections::HashSet<u64> = std::collections::HashSet::new();
    for (address, socket) in world.logged_in() {
        if fired < most && order.hits(&address.number, address.device) {
            hit.insert(socket.id);
            if order.kind == Kind::LogoutDevice {
                if let Some(account) = world.account(&address.number)
                    && world.unlink(&account, address.device, Ending::device_removed())
                {
                    fired += 1;
                }
            } else if socket.tell(blow(order)) {
                fired += 1;
            }
        }
    }
    // connections that are pairing belong to no account: only a fault without target, or one for pairings, reaches them
    let pairing = order.target.as_ref().is_some_and(|target| target.pairing);
    if (order.target.is_none() || pairing) && order.kind != Kind::LogoutDevice {
        let others: Vec<_> = lock(&world.sockets).values().cloned().collect();
        for socket in others.into_iter().filter(|s| !hit.contains(&s.id) && (!pairing || s.is_pairing())) {
            if fired < most && socket.tell(blow(order)) {
                fired += 1;
            }
        }
    }
    fired
}
