//! Waking schedulers: a reminder that is armed anew may be due before whatever they sleep for.
//!
//! Postgres tells with the commit, so Redis may be away. A waking that is lost costs the duty's interval, never a firing.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::error::Result;

/// The channel, one per database.
const CHANNEL: &str = "switchboard_due";

/// Wakes every scheduler when the caller's transaction commits.
///
/// # Errors
/// When the database does not do it.
pub(super) async fn wake(transaction: &mut PgConnection) -> Result<()> {
    sqlx::query!("SELECT pg_notify($1, '')", CHANNEL).execute(transaction).await?;
    Ok(())
}

/// A connection on which wakings are heard.
pub struct Wake(PgListener);

impl Wake {
    /// Listens, on a connection of the pool's that is not given back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn listen(db: &PgPool) -> Result<Self> {
        let mut listener = PgListener::connect_with(db).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// Waits for a waking, and takes those of the time `together` after it as the same one. After the connection
    /// was lost and made anew there is one, as some may have been missed.
    ///
    /// # Errors
    /// When the connection can't be made anew.
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
