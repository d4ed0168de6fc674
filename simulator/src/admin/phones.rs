//! `/admin/phones`: creating and listing phones, and unlinking their companions.

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Error, State, existing_phone, phone};
use super::extract::{Body, Path};
use crate::socket::Ending;
use crate::stanza::code;
use crate::sync::lock;
use crate::world::account::{Account, AutoReceipts};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPhone {
    number: String,
    name: Option<String>,
    auto_receipts: Option<AutoReceipts>,
    read_delay_ms: Option<u64>,
}

#[derive(Serialize)]
struct LinkedDevice {
    device: u16,
    jid: String,
    platform: String,
    push_name: String,
    linked_at: u64,
    connected: bool,
    queued_stanzas: usize,
    one_time_keys: usize,
}

#[derive(Serialize)]
pub(super) struct Phone {
    number: String,
    name: String,
    lid: String,
    auto_receipts: AutoReceipts,
    read_delay_ms: u64,
    linked_devices: Vec<LinkedDevice>,
    sockets_now: usize,
    sockets_ever: u64,
    inbox_size: usize,
    code_awaited: bool,
    passkey_code: Option<String>,
}

fn describe(account: &Account) -> Phone {
    let profile = lock(&account.profile).clone();
    let companions = lock(&account.companions);
    let linked_devices: Vec<LinkedDevice> = companions
        .by_device
        .values()
        .map(|companion| LinkedDevice {
            device: companion.device,
            jid: format!("{}:{}@s.whatsapp.net", account.number, companion.device),
            platform: companion.platform.clone(),
            push_name: companion.push_name.clone(),
            linked_at: companion.linked_at_s,
            connected: companion.is_connected(),
            queued_stanzas: companion.queue.len(),
            one_time_keys: companion.one_time.len(),
        })
        .collect();
    Phone {
        number: account.number.clone(),
        name: profile.name,
        lid: format!("{}@lid", account.lid),
        auto_receipts: profile.auto_receipts,
        read_delay_ms: profile.read_delay_ms,
        sockets_now: linked_devices.iter().filter(|d| d.connected).count(),
        sockets_ever: companions.sockets_ever,
        linked_devices,
        inbox_size: lock(&account.inbox).len(),
        code_awaited: code::is_awaited(account),
        passkey_code: lock(&account.passkey_code).clone(),
    }
}

/// Creates a phone, or changes the settings of an existing one.
pub(super) async fn create(world: State, Body(new): Body<NewPhone>) -> Answer<(StatusCode, Json<Phone>)> {
    let status = match world.account(&new.number) {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let account = phone(&world, &new.number)?;
    {
        let mut profile = lock(&account.profile);
        if let Some(name) = new.name {
            profile.name = name;
        }
        if let Some(auto_receipts) = new.auto_receipts {
            profile.auto_receipts = auto_receipts;
        }
        if let Some(read_delay_ms) = new.read_delay_ms {
            profile.read_delay_ms = read_delay_ms;
        }
    }
    world.dirty();
    Ok((status, Json(describe(&account))))
}

pub(super) async fn list(world: State) -> Json<Vec<Value>> {
    let phones = world.accounts();
    Json(
        phones
            .iter()
            .map(|account| {
                let companions = lock(&account.companions);
                let devices = companions.by_device.values();
                json!({
                    "number": account.number,
                    "name": account.name(),
                    "linked_devices": companions.by_device.len(),
                    "sockets_now": devices.filter(|c| c.is_connected()).count(),
                })
            })
            .collect(),
    )
}

pub(super) async fn show(world: State, Path(number): Path<String>) -> Answer<Json<Phone>> {
    Ok(Json(describe(&*existing_phone(&world, &number)?)))
}

pub(super) async fn unlink(world: State, Path((number, device)): Path<(String, u16)>) -> Answer<StatusCode> {
    let account = existing_phone(&world, &number)?;
    if world.unlink(&account, device, Ending::device_removed()) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found(format!("device {device} of {number}")))
    }
}
