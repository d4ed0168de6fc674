//! App state: the settings that the phone shares with its devices.

use std::collections::HashMap;

use async_trait::async_trait;
use store::credentials::Record;
use wacore::appstate::hash::HashState;
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::error::{Result, StoreError};
use wacore::store::traits::{AppStateSyncKey, AppSyncStore};

use super::{AccountBackend, JOINT, Kind, decode, encode, hex, join};

fn mac_name(collection: &str, index_mac: &[u8]) -> String {
    join(&[collection, &hex(index_mac)])
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[async_trait]
impl AppSyncStore for AccountBackend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.read(Kind::SyncKey, &hex(key_id)).await?.map(|bytes| decode(&bytes)).transpose()
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let record = Record::new(hex(key_id), encode(&key)?).numbered(wacore::time::now_millis());
        self.write(Kind::SyncKey, record).await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        match self.read(Kind::SyncVersion, name).await? {
            Some(bytes) => decode(&bytes),
            None => Ok(HashState::default()),
        }
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.write(Kind::SyncVersion, Record::new(name, encode(&state)?)).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> {
        let records =
            mutations.iter().map(|m| Record::new(mac_name(name, &m.index_mac), m.value_mac.as_slice())).collect();
        self.write_many(Kind::MutationMac, records).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(Kind::MutationMac, &mac_name(name, index_mac)).await
    }

    async fn get_mutation_macs(&self, name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let by_name: HashMap<String, [u8; 32]> = index_macs.iter().map(|mac| (mac_name(name, mac), *mac)).collect();
        let names: Vec<String> = by_name.keys().cloned().collect();
        let records = self.read_many(Kind::MutationMac, &names).await?;
        Ok(records.into_iter().filter_map(|r| by_name.get(&r.name).map(|mac| (*mac, r.bytes))).collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let names: Vec<String> = index_macs.iter().map(|mac| mac_name(name, mac)).collect();
        self.remove_many(Kind::MutationMac, &names).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.remove_prefix(Kind::MutationMac, &format!("{name}{JOINT}")).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let Some(record) = self.patiently(|| self.store.last(Kind::SyncKey as i16)).await? else { return Ok(None) };
        let id = unhex(&record.name).ok_or_else(|| StoreError::Validation("sync key id is not hex".to_owned()))?;
        Ok(Some(id))
    }
}
