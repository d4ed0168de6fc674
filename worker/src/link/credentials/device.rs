//! The device record: the keys and the address of this account's device.

use std::sync::Arc;

use async_trait::async_trait;
use store::credentials::Record;
use wacore::store::Device;
use wacore::store::device::DEVICE_PROPS;
use wacore::store::error::Result;
use wacore::store::traits::DeviceStore;

use super::{AccountBackend, Kind, decode, encode};

const NAME: &str = "device";

#[async_trait]
impl DeviceStore for AccountBackend {
    /// Saves run one at a time, in the order of their calls, so that an older device never overwrites a newer one.
    async fn save(&self, device: &Device) -> Result<()> {
        let _turn = self.saving.lock().await;
        self.write(Kind::Device, Record::new(NAME, encode(device)?)).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        let Some(bytes) = self.read(Kind::Device, NAME).await? else { return Ok(None) };
        let mut device: Device = decode(&bytes)?;
        // Not stored: it is set again whenever a client is built.
        device.device_props = Arc::new(DEVICE_PROPS.clone());
        Ok(Some(device))
    }

    async fn exists(&self) -> Result<bool> {
        self.patiently(|| self.store.exists(Kind::Device as i16, NAME)).await
    }

    /// A store holds only one device, so the returned id is always 1.
    async fn create(&self) -> Result<i32> {
        let fresh = Record::new(NAME, encode(&Device::new())?);
        self.written(self.store.add_new(Kind::Device as i16, vec![fresh.clone()])).await?;
        Ok(1)
    }
}
