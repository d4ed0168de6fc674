//! The listening side of one worker: three queues, three channels, and the removal of finished jobs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::Answering;
use super::{Doorbell, Handler, consume, subscribe, tidy};
use domain::id::WorkerId;
use domain::job::Queue;

/// How long answers that are under way may take once a stop is asked for.
const FINISHING: Duration = Duration::from_secs(5);

impl Doorbell {
    /// Answers the bells of `worker`: its share of the shared queues until `stop` is cancelled, and those of its own
    /// inbox until `last` is cancelled. Never fails: whatever breaks is started again, and [`Handler::noted`] is told.
    ///
    /// Cancel `stop` as soon as the process is asked to end: other workers take new bells. Cancel `last` when the
    /// worker owns nothing any more: answers under way end within a few seconds, and the inbox is dropped.
    pub async fn listen(
        &self,
        worker: WorkerId,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
        last: CancellationToken,
    ) {
        let answering = Arc::new(Answering::new(self.clone(), worker, handler, stop, last));
        tokio::join!(
            subscribe::hear(Arc::clone(&answering)),
            consume::supervise(Arc::clone(&answering), Queue::Inbox(worker)),
            consume::supervise(Arc::clone(&answering), Queue::Claim),
            consume::supervise(Arc::clone(&answering), Queue::FireReminder),
            tidy::keep_tidy(Arc::clone(&answering)),
        );
        answering.tasks.close();
        if tokio::time::timeout(FINISHING, answering.tasks.wait()).await.is_err() {
            tracing::warn!("some bells were still being answered when the time was up");
        }
        let dropped = self.drop_queue(Queue::Inbox(worker), i64::MAX);
        if !matches!(tokio::time::timeout(FINISHING, dropped).await, Ok(Ok(true))) {
            tracing::debug!("the inbox stays for the scheduler to drop");
        }
    }
}
