//! A process that serves: what it has before its own work begins, and health from the first moment to the last.

use std::net::SocketAddr;

use schedule::zone;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{Telemetry, Zones};
use crate::ops::{self, Pulse};
use crate::shutdown::{self, Stop, Stopping};
use crate::startup::{Readiness, Startup};
use crate::telemetry::metrics::Component;
use crate::telemetry::{self, Guard};

/// What each binary that serves is told alike.
pub struct Told<'a> {
    /// How it talks about itself.
    pub telemetry: &'a Telemetry,
    /// Whose clocks it reads.
    pub zones: &'a Zones,
    /// Where it serves health and metrics (`OPS_LISTEN`).
    pub ops: SocketAddr,
    /// How it leaves after a signal.
    pub stopping: Stopping,
}

/// What each binary that serves has before it opens doors of its own. The last traces are sent when it is dropped.
pub struct Ground {
    /// The port of health and metrics.
    pub ops: TcpListener,
    /// The order to stop, which signals give.
    pub stop: Stop,
    _flushes: Guard,
}

/// Starts logs and traces under this name, chooses the zone data, listens to signals and opens the port of health. Call it once,
/// before anything is logged.
///
/// # Errors
/// When the exporter of traces can't be built, no signal can be heard, or the port is taken.
pub async fn ground(name: &'static str, told: Told<'_>) -> anyhow::Result<Ground> {
    let flushes = telemetry::init(name, told.telemetry)?;
    zone::choose(told.zones.folder.as_deref());
    let stop = shutdown::on_signal(told.stopping)?;
    let ops = ops::listen(told.ops, "OPS_LISTEN").await?;
    Ok(Ground { ops, stop, _flushes: flushes })
}

/// Health and metrics, and whatever else runs beside the work. All of it ends when this is dropped.
pub struct Serving {
    pulse: Pulse,
    beside: JoinSet<()>,
    _served: DropGuard,
}

impl Serving {
    /// Serves health and metrics at once. Nobody is ready who was told to stop.
    #[must_use]
    pub fn begin(of: Component, ops: TcpListener, stop: &CancellationToken) -> (Self, Startup) {
        let (pulse, readiness, served) = (Pulse::default(), Readiness::default(), CancellationToken::new());
        let mut beside = JoinSet::new();
        beside.spawn(ops::serve(of, ops, pulse.clone(), readiness.check(), served.clone()));
        beside.spawn(leave(stop.clone(), pulse.clone()));
        let startup = Startup::new(of.as_str(), pulse.clone(), readiness, stop.clone());
        (Self { pulse, beside, _served: served.drop_guard() }, startup)
    }

    /// What liveness reads.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs this until the end of the process. It is cut off then.
    pub fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// The work is done.
    pub fn end(self) {}
}

async fn leave(stop: CancellationToken, pulse: Pulse) {
    stop.cancelled().await;
    pulse.set_ready(false);
}
