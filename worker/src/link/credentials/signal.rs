//! Signal state: identities, sessions, pre-keys, sender keys.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use store::credentials::Record;
use wacore::store::error::{Result, StoreError};
use wacore::store::traits::SignalStore;

use super::{AccountBackend, Kind};

fn key_name(id: u32) -> String {
    id.to_string()
}

fn key_record(id: u32, bytes: &[u8]) -> Record {
    Record::new(key_name(id), bytes).numbered(i64::from(id))
}

fn key_id(record: &Record) -> u32 {
    u32::try_from(record.number).unwrap_or_default()
}

fn by_address(batch: &[(Arc<str>, Bytes)]) -> Vec<Record> {
    batch.iter().map(|(address, bytes)| Record::new(&**address, bytes.as_ref())).collect()
}

#[async_trait]
impl SignalStore for AccountBackend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.write(Kind::Identity, Record::new(address, key)).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let records = identities.iter().map(|(address, key)| Record::new(&**address, *key)).collect();
        self.write_many(Kind::Identity, records).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let Some(bytes) = self.read(Kind::Identity, address).await? else { return Ok(None) };
        let key = bytes.try_into().map_err(|_| StoreError::Validation("identity key is not 32 bytes".to_owned()))?;
        Ok(Some(key))
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.remove(Kind::Identity, address).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        Ok(self.read(Kind::Session, address).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.write_many(Kind::Session, vec![Record::new(address, session)]).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.write_many(Kind::Session, by_address(sessions)).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.remove(Kind::Session, address).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        self.patiently(|| self.store.exists(Kind::Session as i16, address)).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        let kinds = [Kind::Session as i16, Kind::Identity as i16];
        let prefixes = [format!("{user}@"), format!("{user}:")];
        self.patiently(|| self.store.exists_with_prefix(&kinds, &prefixes)).await
    }

    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Result<()> {
        self.write(Kind::PreKey, key_record(id, record)).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Result<()> {
        let records = keys.iter().map(|(id, record)| key_record(*id, record)).collect();
        self.write_many(Kind::PreKey, records).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        Ok(self.read(Kind::PreKey, &key_name(id)).await?.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let names: Vec<String> = ids.iter().map(|id| key_name(*id)).collect();
        let records = self.read_many(Kind::PreKey, &names).await?;
        Ok(records.into_iter().map(|record| (key_id(&record), Bytes::from(record.bytes))).collect())
    }

    /// Does nothing: no caller asks whether a stored key was uploaded (the device record counts uploads). A key that
    /// was used up meanwhile stays deleted.
    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Result<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.remove(Kind::PreKey, &key_name(id)).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let last = self.patiently(|| self.store.last(Kind::PreKey as i16)).await?;
        Ok(last.map_or(0, |record| key_id(&record)))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.write(Kind::SignedPreKey, key_record(id, record)).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.read(Kind::SignedPreKey, &key_name(id)).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let records = self.list(Kind::SignedPreKey).await?;
        Ok(records.into_iter().map(|record| (key_id(&record), record.bytes)).collect())
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.remove(Kind::SignedPreKey, &key_name(id)).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.write_many(Kind::SenderKey, vec![Record::new(address, record)]).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.write_many(Kind::SenderKey, by_address(sender_keys)).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.read(Kind::SenderKey, address).await
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.remove(Kind::SenderKey, address).await
    }
}
