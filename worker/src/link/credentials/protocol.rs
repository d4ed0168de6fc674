//! Protocol state: devices, addresses and keys of others, sent messages, and received messages that are not stored yet.

use std::collections::BTreeMap;

use async_trait::async_trait;
use store::credentials::Record;
use wacore::store::error::Result;
use wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};

use super::{AccountBackend, Kind, Missed, decode, encode, join};

/// Which devices of a group hold our sender key. There is one record per group, not one per device.
type Holders = BTreeMap<String, bool>;

fn pending_record(row: &PendingInboundRow<'_>) -> Record {
    Record::new(join(&[row.chat, row.sender, row.id]), row.message).numbered(wacore::time::now_secs())
}

impl AccountBackend {
    async fn holders(&self, group: &str) -> Result<Holders> {
        let bytes = self.read(Kind::SenderKeyDevices, group).await?;
        bytes.map_or_else(|| Ok(Holders::new()), |bytes| decode(&bytes))
    }
}

#[async_trait]
impl ProtocolStore for AccountBackend {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        Ok(self.holders(group_jid).await?.into_iter().collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut holders = self.holders(group_jid).await?;
        holders.extend(entries.iter().map(|(device, has_key)| ((*device).to_owned(), *has_key)));
        self.write(Kind::SenderKeyDevices, Record::new(group_jid, encode(&holders)?)).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.remove(Kind::SenderKeyDevices, group_jid).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut changed = Vec::new();
        for record in self.list(Kind::SenderKeyDevices).await? {
            let mut holders: Holders = decode(&record.bytes)?;
            let before = holders.len();
            holders.retain(|device, _| !device_jids.contains(&device.as_str()));
            if holders.len() < before {
                changed.push(Record::new(record.name, encode(&holders)?));
            }
        }
        self.write_many(Kind::SenderKeyDevices, changed).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.remove_prefix(Kind::SenderKeyDevices, "").await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.read(Kind::LidMapping, lid).await?.map(|bytes| decode(&bytes)).transpose()
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let Some(bytes) = self.read(Kind::NumberMapping, phone).await? else { return Ok(None) };
        let mapping = self.get_lid_mapping(&String::from_utf8_lossy(&bytes)).await?;
        // After a mapping has moved to another number, the record of the old number still exists.
        Ok(mapping.filter(|entry| entry.phone_number == phone))
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut lids = Vec::with_capacity(entries.len());
        let mut numbers = Vec::with_capacity(entries.len());
        for entry in entries {
            lids.push(Record::new(entry.lid.as_str(), encode(entry)?));
            numbers.push(Record::new(entry.phone_number.as_str(), entry.lid.as_bytes()));
        }
        self.write_many(Kind::LidMapping, lids).await?;
        self.write_many(Kind::NumberMapping, numbers).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        self.list(Kind::LidMapping).await?.iter().map(|record| decode(&record.bytes)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.write(Kind::BaseKey, Record::new(join(&[address, message_id]), base_key)).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool> {
        let saved = self.read(Kind::BaseKey, &join(&[address, message_id])).await?;
        Ok(saved.is_some_and(|key| key == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.remove(Kind::BaseKey, &join(&[address, message_id])).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let records: Result<Vec<Record>> =
            records.iter().map(|list| Ok(Record::new(list.user.as_str(), encode(list)?))).collect();
        self.write_many(Kind::DeviceList, records?).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.read(Kind::DeviceList, user).await?.map(|bytes| decode(&bytes)).transpose()
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.remove(Kind::DeviceList, user).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.read(Kind::GroupMetadata, group_jid).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.write(Kind::GroupMetadata, Record::new(group_jid, blob)).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.remove(Kind::GroupMetadata, group_jid).await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.token(jid).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.replace_token(jid, entry).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.forget_token(jid).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        Ok(self.list(Kind::ContactToken).await?.into_iter().map(|record| record.name).collect())
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        self.expire_tokens(token_cutoff, sender_cutoff).await
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        self.touch_sender(jid, sender_timestamp).await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        self.receive_token(jid, token, token_timestamp).await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        let record = Record::new(join(&[chat_jid, message_id]), payload).numbered(wacore::time::now_secs());
        self.write(Kind::SentMessage, record).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        let name = join(&[chat_jid, message_id]);
        let taken = self.patiently(|| self.store.take(Kind::SentMessage as i16, &name)).await?;
        Ok(taken.map(|record| record.bytes))
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.remove_older(Kind::SentMessage, cutoff_timestamp).await
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.write_many(Kind::PendingInbound, vec![pending_record(&PendingInboundRow { chat, sender, id, message })])
            .await
    }

    /// The library asks this only about messages whose keys are used up: a copy is handled like a new message, none means
    /// that it acknowledges a duplicate, and after an error it does not acknowledge.
    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let name = join(&[chat, sender, id]);
        let message = || Missed { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() };
        match self.read(Kind::PendingInbound, &name).await? {
            None => self.duplicate_or_missed(name, message()).await,
            pending => Ok(pending),
        }
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.remove_pending(&[join(&[chat, sender, id])]).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.forget_duplicates(cutoff_timestamp).await?;
        self.remove_older(Kind::PendingInbound, cutoff_timestamp).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        self.write_many(Kind::PendingInbound, rows.iter().map(pending_record).collect()).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let names: Vec<String> = keys.iter().map(|key| join(&[key.chat, key.sender, key.id])).collect();
        self.remove_pending(&names).await
    }
}
