//! A phone's inbox, messages and read receipts.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::answer::{Answer, Error, State, existing_phone, phone};
use super::extract::{Body, Path, Query};
use crate::phone::inbox::{Bubble, Kind};
use crate::phone::{receipts, send as phone_send};
use crate::sync::lock;
use crate::world::address::Address;

/// The highest number of bubbles in one answer.
const PAGE_MAX: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only messages that were decrypted after this instant, in unix microseconds.
    since: Option<u64>,
    chat: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    to: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    chat: String,
    ids: Option<Vec<String>>,
}

pub(super) async fn inbox(
    world: State,
    Path(number): Path<String>,
    Query(which): Query<Which>,
) -> Answer<Json<Vec<Bubble>>> {
    let account = existing_phone(&world, &number)?;
    let inbox = lock(&account.inbox);
    let wanted = inbox
        .iter()
        .filter(|bubble| which.since.is_none_or(|since| bubble.decrypted_at_us > since))
        .filter(|bubble| which.chat.as_deref().is_none_or(|chat| bubble.chat == chat))
        .take(which.limit.unwrap_or(PAGE_MAX));
    Ok(Json(wanted.cloned().collect()))
}

pub(super) async fn send(
    world: State,
    Path(number): Path<String>,
    Body(message): Body<NewMessage>,
) -> Answer<(StatusCode, Json<Value>)> {
    let account = phone(&world, &number)?;
    let id = if let Some(group) = message.to.strip_suffix("@g.us") {
        let group = world.group(group).ok_or_else(|| Error::not_found(format!("group {}", message.to)))?;
        if !group.may_post(&number) {
            let reason = format!("{number} may not post in this group");
            return Err(Error::new(StatusCode::FORBIDDEN, reason));
        }
        phone_send::to_group(&world, &account, &group, &message.text).await?
    } else {
        let to = phone(&world, message.to.trim_start_matches('+'))?;
        phone_send::direct(&world, &account, &to, &message.text).await?
    };
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// Marks messages of a chat as read: the given ones, or all unread ones.
pub(super) async fn read(world: State, Path(number): Path<String>, Body(read): Body<Read>) -> Answer<Json<Value>> {
    let account = existing_phone(&world, &number)?;
    let mut by_sender: BTreeMap<Address, Vec<String>> = BTreeMap::new();
    for bubble in lock(&account.inbox).iter() {
        let wanted = match &read.ids {
            Some(ids) => ids.contains(&bubble.id),
            None => !bubble.read,
        };
        if wanted && bubble.chat == read.chat && bubble.kind != Kind::Own {
            by_sender.entry(Address::new(&bubble.sender, bubble.sender_device)).or_default().push(bubble.id.clone());
        }
    }
    let group = read.chat.strip_suffix("@g.us").map(Jid::group);
    let mut count = 0;
    for (sender, ids) in &by_sender {
        count += ids.len();
        receipts::read(&world, &account, group.as_ref(), sender, ids);
    }
    Ok(Json(json!({ "read": count })))
}
