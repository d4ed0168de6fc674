//! Linking from the phone's side: scanning a QR code, entering a code.

use std::sync::Arc;

use axum::Json;
use serde::{Deserialize, Serialize};

use super::{Answer, Body, Error, Path, Query, State, phone};
use crate::stanza::{code, pair};
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScanWith {
    phone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    code: String,
}

#[derive(Serialize)]
pub(super) struct Linked {
    number: String,
    name: String,
    device: u16,
    device_jid: String,
    lid: String,
}

fn linked(account: &Account, address: &Address) -> Json<Linked> {
    Json(Linked {
        number: account.number.clone(),
        name: account.name(),
        device: address.device,
        device_jid: format!("{}:{}@s.whatsapp.net", address.number, address.device),
        lid: format!("{}@lid", account.lid),
    })
}

pub(super) async fn scan_qr(world: State, Query(with): Query<ScanWith>, text: String) -> Answer<Json<Linked>> {
    let scanned = pair::read_qr(&world, &text).map_err(|error| Error::unprocessable(format!("{error:#}")))?;
    let number = match with.phone {
        Some(number) => number.trim_start_matches('+').to_owned(),
        None => number_for(&world, &scanned.offer.push_name),
    };
    let account = phone(&world, &number)?;
    let address = pair::link_scanned(&world, &account, &scanned).await.map_err(|error| Error::conflict(&error))?;
    Ok(linked(&account, &address))
}

/// The phone that linked a client of this name before, or a new one: so a client that was logged out and pairs
/// again comes back to its own account.
fn number_for(world: &Arc<World>, push_name: &str) -> String {
    let known = world.accounts().into_iter().find(|account| {
        let companions = lock(&account.companions);
        !push_name.is_empty() && companions.push_names.contains(push_name)
    });
    known.map_or_else(|| world.free_number(), |account| account.number.clone())
}

pub(super) async fn enter_code(
    world: State,
    Path(number): Path<String>,
    Body(body): Body<Code>,
) -> Answer<Json<Linked>> {
    let account = phone(&world, &number)?;
    let address = code::enter(&world, &account, &body.code).await.map_err(|error| Error::conflict(&error))?;
    Ok(linked(&account, &address))
}
