//! The handle through which the rest of the simulator reaches an open connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::pairing::{Gate, Link};

/// How many commands may wait for one connection. Further ones are lost.
pub(crate) const COMMANDS_MAX: usize = 1_024;

/// Commands to a connection.
#[derive(Debug)]
pub(crate) enum Command {
    Send(Box<Node>),
    Link(Box<Link>),
    Gate(Box<Gate>),
    Silence(Option<Duration>),
    End(Ending),
}

/// How a connection ends.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) reason: String,
    pub(crate) last_words: Option<Box<Node>>,
    /// Whether a WebSocket close frame is sent before the connection is dropped.
    pub(crate) close_frame: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Socket {
    pub(crate) id: u64,
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    pairing: Arc<AtomicBool>,
}

impl Socket {
    pub(crate) fn new(id: u64, commands: mpsc::Sender<Command>, wake: Arc<Notify>) -> Self {
        Self { id, commands, wake, pairing: Arc::default() }
    }

    /// Sends a command to the connection. Returns false if the connection is gone or has too many waiting.
    pub(crate) fn tell(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Whether its client is pairing.
    pub(crate) fn is_pairing(&self) -> bool {
        self.pairing.load(Ordering::Relaxed)
    }

    pub(crate) fn set_pairing(&self, pairing: bool) {
        self.pairing.store(pairing, Ordering::Relaxed);
    }

    /// Notifies the connection that the device's queue has a new stanza.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Ending {
    pub(crate) fn dropped(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), last_words: None, close_frame: false }
    }

    pub(crate) fn closed(reason: impl Into<String>) -> Self {
        Self { close_frame: true, ..Self::dropped(reason) }
    }

    fn saying(reason: impl Into<String>, node: Node) -> Self {
        Self { last_words: Some(Box::new(node)), ..Self::closed(reason) }
    }

    pub(crate) fn stream_error(code: u16) -> Self {
        let node = NodeBuilder::new("stream:error").attr("code", code).build();
        Self::saying(format!("stream_error_{code}"), node)
    }

    /// The end after a second login of the same device.
    pub(crate) fn replaced() -> Self {
        let conflict = NodeBuilder::new("conflict").attr("type", "replaced").build();
        let node = NodeBuilder::new("stream:error").children([conflict]).build();
        Self::saying("replaced", node)
    }

    /// The end after the phone removed the device.
    pub(crate) fn device_removed() -> Self {
        let conflict = NodeBuilder::new("conflict").attr("type", "device_removed").build();
        let node = NodeBuilder::new("stream:error").attr("code", 401).children([conflict]).build();
        Self::saying("device_removed", node)
    }

    pub(crate) fn failure(reason: u16, extra: &[(&'static str, String)]) -> Self {
        let mut node = NodeBuilder::new("failure").attr("reason", reason);
        for (key, value) in extra {
            node = node.attr(key, value.as_str());
        }
        Self::saying(format!("failure_{reason}"), node.build())
    }
}
