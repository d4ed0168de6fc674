//! The common frame of a serving process: what it sets up before its own work, and its health from start to end.

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

/// The settings that every serving binary has.
pub struct Told<'a> {
    /// Settings of logs and traces.
    pub telemetry: &'a Telemetry,
    /// Settings of zone data.
    pub zones: &'a Zones,
    /// The address of health and metrics (`OPS_LISTEN`).
    pub ops: SocketAddr,
    /// How the process ends after a signal.
    pub stopping: Stopping,
}

/// What every serving binary has before it opens its own ports. The last traces are sent when it is dropped.
pub struct Ground {
    /// The port of health and metrics.
    pub ops: TcpListener,
    /// The order to stop, given by signals.
    pub stop: Stop,
    _flushes: Guard,
}

/// Starts logs and traces under this name, chooses the zone data, listens for signals and opens the health port. Call
/// it once, before anything is logged.
///
/// # Errors
/// If the trace exporter cannot be built, signals cannot be handled, or the port is taken.
pub async fn ground(name: &'static str, told: Told<'_>) -> anyhow::Result<Ground> {
    let flushes = telemetry::init(name, told.telemetry)?;
    zone::choose(told.zones.folder.as_deref());
    let stop = shutdown::on_signal(told.stopping)?;
    let ops = ops::listen(told.ops, "OPS_LISTEN").await?;
    Ok(Ground { ops, stop, _flushes: flushes })
}

/// Health and metrics, and other tasks that run beside the work. All of them end when this is dropped.
pub struct Serving {
    pulse: Pulse,
    beside: JoinSet<()>,
    _served: DropGuard,
}

impl Serving {
    /// Serves health and metrics at once. After `stop` the process is not ready.
    #[must_use]
    pub fn begin(of: Component, ops: TcpListener, stop: &CancellationToken) -> (Self, Startup) {
        let (pulse, readiness, served) = (Pulse::default(), Readiness::default(), CancellationToken::new());
        let mut beside = JoinSet::new();
        beside.spawn(ops::serve(of, ops, pulse.clone(), readiness.check(), served.clone()));
        beside.spawn(leave(stop.clone(), pulse.clone()));
        let startup = Startup::new(of.as_str(), pulse.clone(), readiness, stop.clone());
        (Self { pulse, beside, _served: served.drop_guard() }, startup)
    }

    /// The signal of liveness.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Runs a task until the end of the process, which cancels it.
    pub fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// Ends the tasks: the work is done.
    pub fn end(self) {}
}

async fn leave(stop: CancellationToken, pulse: Pulse) {
    stop.cancelled().await;
    pulse.set_ready(false);
}
