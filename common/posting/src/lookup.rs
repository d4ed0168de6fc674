//! Resolves names. The system's resolver blocks a thread, for up to half a minute if no server answers, and its caller
//! may give up long before. So the limit counts the threads and not the callers.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// The most lookups at the same time. One tenant has fewer requests, so it cannot use all of them.
const AT_ONCE: usize = 128;

/// The lookups under way.
pub(super) struct Lookups {
    room: Arc<Semaphore>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Lookups {
    /// Runs `look` on a thread of its own when there is room. `kept` and the room are released when it ends, even if
    /// the caller has gone. Returns `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        kept: impl Send + 'static,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
        let thread = tokio::task::spawn_blocking(move || {
            let _until_the_end = (room, kept);
            look()
        });
        thread.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// R63: lookups that hang use a limited number of threads, even after their callers have gone; then other lookups
    /// have room.
    #[tokio::test]
    async fn looks_that_hang_are_bounded() {
        let lookups = Lookups { room: Arc::new(Semaphore::new(3)) };
        // the gate opens when the three lookups and this test wait at it
        let (running, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(4)));
        for _ in 0..10 {
            let (running, gate) = (Arc::clone(&running), Arc::clone(&gate));
            let look = move || {
                running.fetch_add(1, Ordering::SeqCst);
                gate.wait();
            };
            let waited = tokio::time::timeout(Duration::from_millis(20), lookups.run((), look)).await;
            assert!(waited.is_err());
        }
        assert_eq!(running.load(Ordering::SeqCst), 3);
        gate.wait();
        assert_eq!(lookups.run((), || 7).await, Some(7));
    }
}
