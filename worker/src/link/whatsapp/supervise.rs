//! Supervises one connection to its end, ends it when told to, and reports why it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use whatsapp_rust::bot::{Bot, BotHandle};
use whatsapp_rust::{Client, NodeFilter};

use super::super::credentials::AccountBackend;
use super::super::{CloseReason, LinkSender};
use super::observer::Journal;
use super::silence::{self, FAREWELL};
use super::transport::Live;

/// How long the run loop may take to notice that it is over.
const LOOP_END: Duration = Duration::from_secs(1);
/// How long the end waits for a write under way: longer than the database lets one take. The next connection must not
/// read what this one is about to replace.
const WRITE_END: Duration = Duration::from_secs(5);

/// The reason when none was given: the socket fell silent, or the handshake failed.
const SILENCE: &str = "WhatsApp fell silent";

/// The orders of the link's holder.
#[derive(Clone, Default)]
pub(super) struct Orders {
    /// End in order.
    pub(super) close: CancellationToken,
    /// We are unlinking the device: any end of the connection from now on counts as requested.
    pub(super) leave: CancellationToken,
    /// End at once.
    pub(super) abort: CancellationToken,
    /// Cancelled when the connection has ended and `Closed` was emitted.
    pub(super) ended: CancellationToken,
}

/// What the supervisor of a connection needs.
pub(super) struct Supervised {
    pub(super) client: Arc<Client>,
    pub(super) sender: Arc<LinkSender>,
    pub(super) journal: Arc<Journal>,
    pub(super) live: Arc<Live>,
    pub(super) backend: Arc<AccountBackend>,
    pub(super) fenced: CancellationToken,
    pub(super) orders: Orders,
}

/// Why the wait for the connection's end is over.
enum Turn {
    Over,
    Close,
    Abort,
    Fenced,
    UnknownKey,
    Uncommitted,
    Silent,
}

impl Supervised {
    /// Runs the client until its connection ends or is ended, then emits `Closed`.
    pub(super) async fn run(self, bot: Bot) {
        // One link is one connection attempt.
        self.client.enable_auto_reconnect.store(false, std::sync::atomic::Ordering::Relaxed);
        let mut restart = self.client.wait_for_node(NodeFilter::tag("stream:error").attr("code", "515"));
        let unknown_key = self.backend.met_unknown_key();
        let mut handle = bot.spawn();
        let turn = tokio::select! {
            biased;
            () = self.fenced.cancelled() => Turn::Fenced,
            () = unknown_key.cancelled() => Turn::UnknownKey,
            () = self.orders.abort.cancelled() => Turn::Abort,
            () = self.orders.close.cancelled() => Turn::Close,
            () = self.journal.uncommitted.cancelled() => Turn::Uncommitted,
            () = &mut handle => Turn::Over,
            () = silence::proven(&self.client) => Turn::Silent,
        };
        match turn {
            // Also if the library ended by itself: only `disconnect` flushes its buffers.
            Turn::Over | Turn::Silent | Turn::Close | Turn::Uncommitted => self.farewell(&mut handle).await,
            Turn::Abort | Turn::Fenced | Turn::UnknownKey => self.cut(&handle).await,
        }
        let restart = matches!(restart.try_recv(), Ok(Some(_))) || self.journal.paired.is_cancelled();
        let reason = self.reason(&turn, restart);
        // the library's tasks may still run: what they write now would land after a scrub, or in the next connection
        if timeout(WRITE_END, self.backend.close()).await.is_err() {
            tracing::warn!("link.write_under_way");
        }
        tracing::debug!(reason = ?reason, "link.closed");
        self.sender.close(reason);
        self.orders.ended.cancel();
    }

    /// Stores what is buffered and closes the socket. Cut short if the right to write is lost.
    async fn farewell(&self, handle: &mut BotHandle) {
        let orderly = async {
            self.client.disconnect().await;
            let _ = timeout(LOOP_END, &mut *handle).await;
            self.store_device().await;
        };
        tokio::select! {
            biased;
            () = self.fenced.cancelled() => {}
            () = self.orders.abort.cancelled() => {}
            done = timeout(FAREWELL, orderly) => {
                if done.is_ok() {
                    return;
                }
                tracing::warn!("link.farewell_timed_out");
            }
        }
        self.cut(handle).await;
    }

    /// Stores the device as it is now, after any save that is under way. `disconnect` does not wait for a save of the
    /// library's background task; without this, the next connection could read a device from before its pairing.
    async fn store_device(&self) {
        let manager = self.client.persistence_manager();
        let device = manager.get_device_snapshot().to_serializable();
        if let Err(error) = manager.backend().save(&device).await {
            tracing::warn!(%error, "link.device_not_stored");
        }
    }

    /// Drops the socket and stops the client's tasks.
    async fn cut(&self, handle: &BotHandle) {
        self.client.signal_shutdown_sync();
        self.live.hang_up().await;
        handle.abort();
    }

    fn reason(&self, turn: &Turn, restart: bool) -> CloseReason {
        if self.fenced.is_cancelled() {
            return CloseReason::Fenced;
        }
        if let Some(key) = self.backend.unknown_key() {
            return CloseReason::UnknownKey(key);
        }
        match turn {
            // an unknown key is reported above; without its id, its end counts as requested
            Turn::Close | Turn::Abort | Turn::UnknownKey => CloseReason::Requested,
            Turn::Fenced => CloseReason::Fenced,
            Turn::Uncommitted => CloseReason::Dropped("inbound messages were not stored".to_owned()),
            Turn::Silent => CloseReason::Dropped(SILENCE.to_owned()),
            Turn::Over if self.orders.leave.is_cancelled() => CloseReason::Requested,
            Turn::Over => match self.journal.end() {
                Some(CloseReason::Dropped(_)) | None if restart => CloseReason::RestartRequired,
                Some(reason) => reason,
                None => CloseReason::Dropped(self.live.failure().unwrap_or_else(|| SILENCE.to_owned())),
            },
        }
    }
}
