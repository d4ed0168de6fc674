//! Looks at names. The system's own resolver blocks a thread, up to half a minute when nobody answers, and whoever waits for it
//! may have gone long before: so the threads are counted, and not those who wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Looks under way in all; a tenant has fewer requests, so one alone can't take them all.
const AT_ONCE: usize = 128;

/// The looks under way.
pub(super) struct Lookups {
    room: Arc<Semaphore>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Lookups {
    /// Runs `look` on a thread of its own when there is room; `kept` is dropped with its end, and so is the room, also when
    /// nobody waits any more. None: it panicked.
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

    /// R63: names that nobody knows hold so many threads and no more, though those who asked went away; then others have room.
    #[tokio::test]
    async fn looks_that_hang_are_bounded() {
        let lookups = Lookups { room: Arc::new(Semaphore::new(3)) };
        // the gate opens when three looks and this test stand before it
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
