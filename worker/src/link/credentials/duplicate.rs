//! What becomes of a message that WhatsApp delivers again although its key is used up.

use store::credentials::Record;
use wacore::store::error::{Result, StoreError};

use super::{AccountBackend, Kind, Missed, join};

/// For how long a missed message is not acknowledged. Its sender is asked again at each new connection until then.
const GIVEN_UP_AFTER_S: i64 = 24 * 60 * 60;

impl AccountBackend {
    /// Notes that a message is handled, although nothing of it is stored.
    pub(in super::super) fn has_nothing(&self, chat: &str, sender: &str, id: &str) {
        self.nothing.note(join(&[chat, sender, id]));
    }

    /// Removes copies of received messages. Of those that have nothing to store, it keeps that they were handled.
    pub(super) async fn remove_pending(&self, names: &[String]) -> Result<()> {
        let handled = self.nothing.take(names);
        if !handled.is_empty() {
            let now = wacore::time::now_secs();
            let records = handled.into_iter().map(|name| Record::new(name, []).numbered(now));
            self.write_many(Kind::Handled, records.collect()).await?;
        }
        self.remove_many(Kind::PendingInbound, names).await
    }

    /// The library found the key of a message used up, and no copy under `name` that waits for the session. If the
    /// message was stored or handled, it is a duplicate and is acknowledged (`None`). If not, it was missed: its sender
    /// is asked to encrypt it again, and an error keeps the library from acknowledging it before that has come.
    pub(super) async fn duplicate_or_missed(&self, name: String, message: Missed) -> Result<Option<Vec<u8>>> {
        if self.patiently(|| self.store.has_received(&message.id)).await?
            || self.patiently(|| self.store.exists(Kind::Handled as i16, &name)).await?
        {
            return Ok(None);
        }
        let now = wacore::time::now_secs();
        let asked = self.patiently(|| self.store.get(Kind::AskedAgain as i16, &name)).await?;
        match asked.map(|record| record.number) {
            Some(since) if now - since > GIVEN_UP_AFTER_S => {
                tracing::error!(account = %self.store.fence().account, "link.missed_message_given_up");
                return Ok(None);
            }
            Some(_) => {}
            None => self.write(Kind::AskedAgain, Record::new(name, []).numbered(now)).await?,
        }
        tracing::warn!(account = %self.store.fence().account, "link.missed_message");
        let _ = self.missed.send(message); // the link may have ended
        Err(StoreError::Validation("the message was missed, and its sender is asked again".to_owned()))
    }

    /// Removes what is known of duplicates before this time.
    pub(super) async fn forget_duplicates(&self, before: i64) -> Result<()> {
        self.remove_older(Kind::AskedAgain, before).await?;
        self.remove_older(Kind::Handled, before).await.map(drop)
    }
}
