//! The trust window: until when this worker may act on its leases without having heard of them again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::clock::BootTime;
use tokio_util::sync::CancellationToken;

/// How long a worker may act after the *start* of its last successful renewal: two thirds of the leases' life. A slow
/// success never extends trust beyond its own start, and the clock counts the time a process was frozen.
#[derive(Debug)]
pub struct Trust {
    window: Duration,
    /// Milliseconds since boot of the last successful renewal's start; 0: none yet.
    renewed_ms: AtomicU64,
}

impl Trust {
    /// For leases that live for `ttl`.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { window: ttl * 2 / 3, renewed_ms: AtomicU64::new(0) }
    }

    /// A renewal that was started at `start` has succeeded.
    pub fn renewed(&self, start: BootTime) {
        self.renewed_ms.fetch_max(ms(start), Ordering::AcqRel);
    }

    /// Whether this worker may act at `now`. Ask right before every effect.
    #[must_use]
    pub fn holds(&self, now: BootTime) -> bool {
        self.left(now).is_some()
    }

    /// What is left of the window; `None` when it is over.
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

/// Waits for something as long as we may act; `None` when we may not any more. A database that does not answer must not
/// keep a session from hearing that its right is gone.
pub async fn while_trusted<T>(trust: &Trust, fenced: &CancellationToken, what: impl Future<Output = T>) -> Option<T> {
    let mut what = std::pin::pin!(what);
    loop {
        let left = trust.left(BootTime::now())?;
        tokio::select! {
            biased;
            () = fenced.cancelled() => return None,
            done = &mut what => return Some(done),
            () = tokio::time::sleep(left) => {} // renewed meanwhile?
        }
    }
}

fn ms(at: BootTime) -> u64 {
    u64::try_from(at.since(BootTime::at(Duration::ZERO)).as_millis()).unwrap_or(u64::MAX)
}
