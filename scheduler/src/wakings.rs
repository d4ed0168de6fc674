//! Listens for armed reminders, so that one that is due at once does not wait for the next look at the rows.

use std::time::Duration;

use store::reminders::Wake;

use crate::context::Context;

/// The wait before the next attempt to listen. Meanwhile the duty looks at its own interval.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Notifications within this time count as one, so that a thousand new reminders do not cause a thousand looks at the
/// rows.
const TOGETHER: Duration = Duration::from_millis(5);

/// Listens until it is aborted. Wakes the duty after every (re)connection, because a notification may have been missed.
pub(crate) async fn hear(context: Context) {
    loop {
        if let Err(error) = listen(&context).await {
            tracing::debug!(%error, "wakings are not heard for a while");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn listen(context: &Context) -> store::Result<()> {
    let mut wake = Wake::listen(context.store.pool()).await?;
    loop {
        context.armed.notify_one();
        wake.woken(TOGETHER).await?;
    }
}
