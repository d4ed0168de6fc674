//! Linking from the phone's side: scanning a QR code or entering a code.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Error, State, phone};
use super::extract::{Body, Path, Query};
use crate::fault::Kind;
use crate::socket::Socket;
use crate::stanza::{code, pair, passkey};
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

pub(super) async fn scan_qr(world: State, Query(with): Query<ScanWith>, text: String) -> Answer<Response> {
    let scanned = pair::read_qr(&world, &text).map_err(|error| Error::unprocessable(format!("{error:#}")))?;
    let number = match with.phone {
        Some(number) => number.trim_start_matches('+').to_owned(),
        None => number_for(&world, &scanned.offer.push_name),
    };
    let account = phone(&world, &number)?;
    if gated(&world, &account, &scanned.offer.socket)? {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    let address = pair::link_scanned(&world, &account, &scanned).await.map_err(|error| Error::conflict(&error))?;
    Ok(linked(&account, &address).into_response())
}

/// The phone that linked a client of this name before, or a new one. So a client that was logged out and pairs again
/// gets its old account.
fn number_for(world: &Arc<World>, push_name: &str) -> String {
    let known = world.accounts().into_iter().find(|account| {
        let companions = lock(&account.companions);
        !push_name.is_empty() && companions.push_names.contains(push_name)
    });
    known.map_or_else(|| world.free_number(), |account| account.number.clone())
}

pub(super) async fn enter_code(world: State, Path(number): Path<String>, Body(body): Body<Code>) -> Answer<Response> {
    let account = phone(&world, &number)?;
    if let Some(socket) = code::waiting(&account)
        && gated(&world, &account, &socket)?
    {
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    let address = code::enter(&world, &account, &body.code).await.map_err(|error| Error::conflict(&error))?;
    Ok(linked(&account, &address).into_response())
}

/// Puts a passkey gate in front of the client if that fault is switched on, and returns whether it did. Linking then
/// continues once the gate has been passed.
fn gated(world: &Arc<World>, account: &Arc<Account>, socket: &Socket) -> Answer<bool> {
    let Some(order) = world.faults.take(Kind::PasskeyGate, &account.number, 0) else { return Ok(false) };
    passkey::close_gate(account, socket, &order).map_err(|error| Error::conflict(&error))?;
    Ok(true)
}

/// Answers these WebAuthn request options with the passkey of the phone's owner.
pub(super) async fn present_passkey(
    world: State,
    Path(number): Path<String>,
    Body(options): Body<serde_json::Value>,
) -> Answer<Json<serde_json::Value>> {
    let account = phone(&world, &number)?;
    Ok(Json(passkey::present(&account, &options).map_err(Error::unprocessable)?))
}
