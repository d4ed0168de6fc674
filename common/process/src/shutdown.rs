//! The stop signal. SIGTERM or Ctrl-C requests a graceful stop; a second signal, or the deadline, ends the process.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// The time for the work that follows an order to stop at once.
const AT_ONCE: Duration = Duration::from_secs(3);

/// The order to stop, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Finish the work under way and end.
    pub gently: CancellationToken,
    /// Drop the work under way and end.
    pub at_once: CancellationToken,
}

impl From<CancellationToken> for Stop {
    fn from(gently: CancellationToken) -> Self {
        Self { gently, at_once: CancellationToken::new() }
    }
}

/// How a process ends after the first SIGTERM or SIGINT. A stop that hangs must not need a SIGKILL.
#[derive(Debug, Clone, Copy)]
pub enum Stopping {
    /// A second signal, or this time after the first, exits with [`Exit::Failed`].
    Within(Duration),
    /// A second signal, or this time minus three seconds after the first, orders to stop at once. Three seconds later
    /// the process exits with [`Exit::Failed`].
    InTwoSteps(Duration),
}

/// Returns the order to stop, which the first SIGTERM or SIGINT gives.
///
/// # Errors
/// If the process cannot register signal handlers.
pub fn on_signal(stopping: Stopping) -> std::io::Result<Stop> {
    let mut signals = Signals::new()?;
    let stop = Stop::default();
    let told = stop.clone();
    tokio::spawn(async move {
        // awaited outside of the macro, which skips its arguments if the level is disabled
        let signal = signals.next().await;
        tracing::info!("{signal}: stopping");
        told.gently.cancel();
        match stopping {
            Stopping::Within(deadline) => signals.again(deadline).await,
            Stopping::InTwoSteps(deadline) => {
                signals.again(deadline.saturating_sub(AT_ONCE)).await;
                told.at_once.cancel();
                tokio::time::sleep(AT_ONCE).await;
            }
        }
        Exit::Failed.leave()
    });
    Ok(stop)
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "interrupt",
        }
    }

    /// Waits for a second signal, or until the stop has taken this long.
    async fn again(&mut self, deadline: Duration) {
        match tokio::time::timeout(deadline, self.next()).await {
            Ok(name) => tracing::warn!("second {name}: leaving at once"),
            Err(_) => tracing::error!(?deadline, "the stop took too long: leaving"),
        }
    }
}
