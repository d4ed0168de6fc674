//! Message secrets: the keys that encrypt poll votes, reactions and edits of a message.

use async_trait::async_trait;
use store::credentials::Record;
use wacore::store::error::{Result, StoreError};
use wacore::store::traits::{MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts};

use super::{AccountBackend, Kind, join};

const SECRET_BYTES: usize = 32;

/// The stored form of a secret: 32 bytes, then the time of its message in seconds, big-endian.
fn record(entry: &MsgSecretEntry) -> Record {
    let mut bytes = entry.secret.to_vec();
    bytes.extend_from_slice(&entry.message_ts.to_be_bytes());
    Record::new(join(&[&entry.chat, &entry.sender, &entry.msg_id]), bytes).numbered(entry.expires_at)
}

fn split(bytes: &[u8]) -> Result<(Vec<u8>, i64)> {
    let malformed = || StoreError::Validation("malformed message secret".to_owned());
    let (secret, time) = bytes.split_at_checked(SECRET_BYTES).ok_or_else(malformed)?;
    let time = i64::from_be_bytes(time.try_into().map_err(|_| malformed())?);
    Ok((secret.to_vec(), time))
}

#[async_trait]
impl MsgSecretStore for AccountBackend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let count = entries.len();
        let records: Vec<_> = entries.iter().map(record).collect();
        let present = self.written(self.store.add_new(Kind::MessageSecret as i16, records)).await?;
        if present.is_empty() {
            return Ok(count);
        }
        let _turn = self.turn.lock().await;
        // A secret that is seen again (redelivered or edited) may extend its lifetime, and never shortens it.
        let known = self.read_many(Kind::MessageSecret, &present).await?;
        let mut merged = Vec::with_capacity(known.len());
        for entry in &entries {
            let mut fresh = record(entry);
            let Some(old) = known.iter().find(|old| old.name == fresh.name) else { continue };
            let (_, old_time) = split(&old.bytes)?;
            let time = merge_msg_secret_message_ts(old_time, entry.message_ts);
            fresh.number = merge_msg_secret_expiry(old.number, entry.expires_at);
            fresh.bytes.truncate(SECRET_BYTES);
            fresh.bytes.extend_from_slice(&time.to_be_bytes());
            merged.push(fresh);
        }
        self.write_many(Kind::MessageSecret, merged).await?;
        Ok(count)
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>> {
        let bytes = self.read(Kind::MessageSecret, &join(&[chat, sender, msg_id])).await?;
        bytes.map(|bytes| split(&bytes)).transpose()
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.remove_older(Kind::MessageSecret, cutoff_timestamp.saturating_add(1)).await
    }
}
