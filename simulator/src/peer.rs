//! The client at the other end of a connection, and the stanzas on their way to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::audit::Origin;
use crate::fault::{Kind, Scope};
use crate::noise::Outbound;
use crate::pairing::Pairing;
use crate::socket::{Command, Ending, Socket};
use crate::sync::lock;
use crate::wire;
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::world::queue;

/// The purpose of the connection.
pub(crate) enum Role {
    /// Not known yet: the login has not been answered.
    Unknown,
    Pairing(Box<Pairing>),
    Companion(Arc<Account>, u16),
}

/// The stored stanzas that are sent after a login.
struct Backlog {
    last_sequence: u64,
    total: usize,
    announced: bool,
}

pub(crate) struct Peer {
    pub(crate) world: Arc<World>,
    pub(crate) socket: Socket,
    pub(crate) role: Role,
    pub(crate) out: Outbound,
    /// Set when the connection should end after the stanzas sent so far.
    pub(crate) ending: Option<Ending>,
    origin: Origin,
    backlog: Option<Backlog>,
}

impl Peer {
    pub(crate) fn new(world: Arc<World>, socket: Socket, out: Outbound, origin: Origin) -> Self {
        Self { world, socket, role: Role::Unknown, out, ending: None, origin, backlog: None }
    }

    pub(crate) fn send(&mut self, node: &Node) {
        tracing::trace!(socket = self.socket.id, node = %wacore::xml::DisplayableNode(node), "out");
        if let Err(error) = self.out.push(node) {
            tracing::error!(%error, "stanza cannot be sent");
            self.ending = Some(Ending::closed("internal"));
        }
    }

    /// The account and address of a companion; `None` before the login.
    pub(crate) fn companion(&self) -> Option<(Arc<Account>, Address)> {
        match &self.role {
            Role::Companion(account, device) => {
                let address = Address::new(&account.number, *device);
                Some((Arc::clone(account), address))
            }
            Role::Unknown | Role::Pairing(_) => None,
        }
    }

    /// Records the login, and makes this socket the current one of the device.
    pub(crate) fn log_in(&mut self, account: Arc<Account>, device: u16) {
        let address = Address::new(&account.number, device);
        self.world.audit.logged_in(&address, self.socket.id, &self.origin);
        self.world.attach(&account, device, self.socket.clone());
        self.world.stats.logins.fetch_add(1, Ordering::Relaxed);
        self.role = Role::Companion(account, device);
    }

    /// Called when the client is ready for stanzas. Announces how many are stored, and starts to send the queue.
    pub(crate) fn activate(&mut self) {
        let Role::Companion(account, device) = &self.role else {
            return;
        };
        let companions = lock(&account.companions);
        let Some(companion) = companions.by_device.get(device) else {
            return;
        };
        let queue = &companion.queue;
        let preview = NodeBuilder::new("offline_preview")
            .attr("count", queue.len())
            .attr("message", queue.count("message"))
            .attr("receipt", queue.count("receipt"))
            .attr("notification", queue.count("notification"))
            .attr("appdata", 0_u32)
            .build();
        let backlog = Backlog { last_sequence: queue.last_sequence(), total: queue.len(), announced: false };
        drop(companions);
        self.send(&wire::branch("ib", [preview]));
        if self.backlog.is_none() {
            self.backlog = Some(backlog);
        }
    }

    /// Moves waiting stanzas into the outgoing buffer. Returns true if there are more than fit.
    pub(crate) fn pump(&mut self) -> anyhow::Result<bool> {
        let Role::Companion(account, device) = &self.role else {
            return Ok(false);
        };
        let account = Arc::clone(account);
        let device = *device;
        while !self.out.is_full() {
            let Some(backlog) = &mut self.backlog else {
                return Ok(false);
            };
            let next = {
                let mut companions = lock(&account.companions);
                let companion = companions.by_device.get_mut(&device);
                // a socket that was replaced gets no more stanzas
                let own = companion.filter(|c| c.socket.as_ref().is_some_and(|s| s.id == self.socket.id));
                own.and_then(|c| c.queue.next_for(self.socket.id))
            };
            let stored = next.as_ref().is_some_and(|(sequence, _)| *sequence <= backlog.last_sequence);
            if !stored && !std::mem::replace(&mut backlog.announced, true) {
                let offline = NodeBuilder::new("offline").attr("count", backlog.total).build();
                self.send(&wire::branch("ib", [offline]));
            }
            let Some((_, stanza)) = next else {
                return Ok(false);
            };
            if stored {
                self.world.stats.redelivered.fetch_add(1, Ordering::Relaxed);
            }
            let node = queue::decode(stanza, stored)?;
            self.send(&node);
        }
        Ok(true)
    }

    /// The delay that currently applies to this peer's traffic, if there is one.
    pub(crate) fn delay(&self, scope: Scope) -> Option<Duration> {
        let (_, address) = self.companion()?;
        let faults = &self.world.faults;
        let order = faults
            .take_if(Kind::Delay, &address.number, address.device, |order| order.scope.unwrap_or_default() == scope)?;
        Some(Duration::from_millis(order.ms.unwrap_or(1_000)))
    }

    /// Sends a node later, without delaying anything else.
    pub(crate) fn send_later(&self, node: Node, delay: Duration) {
        let socket = self.socket.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            socket.tell(Command::Send(Box::new(node)));
        });
    }

    /// Removes the connection from the world.
    pub(crate) fn leave(&mut self, reason: &str) {
        self.world.audit.closed(self.socket.id, reason);
        self.world.withdraw_offers(self.socket.id);
        self.socket.set_pairing(false);
        match std::mem::replace(&mut self.role, Role::Unknown) {
            Role::Companion(account, device) => {
                self.world.detach(&account, device, self.socket.id);
            }
            Role::Pairing(pairing) => pairing.abandon(),
            Role::Unknown => {}
        }
    }
}
