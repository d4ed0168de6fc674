//! The trust window: until when this worker may act on its leases without a renewal. Also how a session learns that its
//! own right is lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use process::clock::BootTime;
use process::telemetry::metrics::labels::Loss;
use tokio_util::sync::CancellationToken;

/// How long a worker may act after the *start* of its last successful renewal: two thirds of the lease's life. A slow
/// renewal does not extend trust beyond that, and the clock includes the time in which the process was frozen.
#[derive(Debug)]
pub struct Trust {
    window: Duration,
    /// When the last successful renewal started, in milliseconds since boot; 0: none yet.
    renewed_ms: AtomicU64,
}

impl Trust {
    /// Creates the window of leases that live for `ttl`.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { window: ttl * 2 / 3, renewed_ms: AtomicU64::new(0) }
    }

    /// A renewal that started at `start` has succeeded.
    pub fn renewed(&self, start: BootTime) {
        self.renewed_ms.fetch_max(ms(start), Ordering::AcqRel);
    }

    /// Whether this worker may act at `now`. Check this right before every effect.
    #[must_use]
    pub fn holds(&self, now: BootTime) -> bool {
        self.left(now).is_some()
    }

    /// The rest of the window; `None` if it is over.
    #[must_use]
    pub fn left(&self, now: BootTime) -> Option<Duration> {
        let renewed = self.renewed_ms.load(Ordering::Acquire);
        if renewed == 0 {
            return None;
        }
        let end = renewed + u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        end.checked_sub(ms(now)).filter(|left| *left > 0).map(Duration::from_millis)
    }
}

/// One session's right to act. It is lost once, and the first cause counts.
#[derive(Debug, Clone, Default)]
pub struct Right {
    gone: CancellationToken,
    cause: Arc<OnceLock<Loss>>,
}

impl Right {
    /// Ends the right, for this cause.
    pub fn lose(&self, cause: Loss) {
        let _ = self.cause.set(cause);
        self.gone.cancel();
    }

    /// Waits until the right is lost, and returns the cause.
    pub async fn lost(&self) -> Loss {
        self.gone.cancelled().await;
        self.cause.get().copied().unwrap_or(Loss::Lapsed)
    }
}

/// Waits for a future as long as the session may act. So a database that does not answer cannot keep a session from
/// learning that its right is lost.
///
/// # Errors
/// The cause, if the session may not act any more.
pub async fn while_trusted<T>(trust: &Trust, right: &Right, what: impl Future<Output = T>) -> Result<T, Loss> {
    let mut what = std::pin::pin!(what);
    loop {
        let left = trust.left(BootTime::now()).ok_or(Loss::Lapsed)?;
        tokio::select! {
            biased;
            loss = right.lost() => return Err(loss),
            done = &mut what => return Ok(done),
            () = tokio::time::sleep(left) => {} // it may have been renewed meanwhile
        }
    }
}

fn ms(at: BootTime) -> u64 {
    u64::try_from(at.since(BootTime::at(Duration::ZERO)).as_millis()).unwrap_or(u64::MAX)
}
