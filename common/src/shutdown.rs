//! The stop signal: SIGTERM or Ctrl-C asks for a graceful stop; a second one, or the deadline, ends the process.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second signal, or `deadline` after the first, exits with
/// status 1: a stop that hangs must not need a SIGKILL.
///
/// # Errors
/// When the process can't register signal handlers.
pub fn on_signal(deadline: Duration) -> std::io::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: stopping"),
            _ = int.recv() => tracing::info!("interrupt: stopping"),
        }
        stop.cancel();
        tokio::select! {
            _ = term.recv() => tracing::warn!("second SIGTERM: leaving at once"),
            _ = int.recv() => tracing::warn!("second interrupt: leaving at once"),
            () = tokio::time::sleep(deadline) => tracing::error!(?deadline, "the stop took too long: leaving"),
        }
        std::process::exit(1);
    });
    Ok(token)
}
