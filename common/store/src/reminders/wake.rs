//! Wakes schedulers: a reminder that was just armed may be due before the one for which they sleep.
//!
//! Postgres notifies them with the commit, so this works without Redis. A lost notification delays a fire by at most
//! the duty's interval.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::error::Result;

/// The name of the channel, one per database.
const CHANNEL: &str = "switchboard_due";

/// Wakes every scheduler when the caller's transaction commits.
///
/// # Errors
/// If the database fails.
pub(super) async fn wake(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(transaction).await?;
    Ok(())
}

/// A connection that receives wake-ups.
pub struct Wake(PgListener);

impl Wake {
    /// Starts to listen, on a connection that is taken from the pool for good.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn listen(db: &PgPool) -> Result<Self> {
        let mut listener = PgListener::connect_with(db).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// Waits for a wake-up. Further ones within the time `together` count as the same. A reconnect also counts as a
    /// wake-up, since some may have been missed.
    ///
    /// # Errors
    /// If the connection can't be made again.
    pub async fn woken(&mut self, together: Duration) -> Result<()> {
        self.0.try_recv().await?;
        let end = Instant::now() + together;
        while Instant::now() < end {
            let Ok(waking) = tokio::time::timeout_at(end, self.0.try_recv()).await else { break };
            waking?;
        }
        Ok(())
    }
}
