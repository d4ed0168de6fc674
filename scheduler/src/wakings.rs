//! Hears that reminders were armed anew, so that one that is due at once does not wait for the next look at the rows.

use std::time::Duration;

use store::reminders::Wake;

use crate::context::Context;

/// The wait before the next attempt to listen. Meanwhile the duty looks at its own pace.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Wakings that come faster are heard together, so that a thousand new reminders are not a thousand looks at the rows.
const TOGETHER: Duration = Duration::from_millis(5);

/// Listens until it is aborted. After every (re)connection the rows are looked at once, as a waking may have been missed.
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
