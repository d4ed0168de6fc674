//! `/admin/groups`: creating and changing groups.

use axum::Json;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Error, State};
use super::extract::{Body, Path};
use crate::world::group::{Group, Role};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    subject: String,
    owner: String,
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    promote: Vec<String>,
    #[serde(default)]
    demote: Vec<String>,
    announce: Option<bool>,
    subject: Option<String>,
}

fn describe(group: &Group) -> Value {
    let members: Vec<Value> =
        group.members.iter().map(|(number, role)| json!({ "number": number, "role": role })).collect();
    json!({
        "jid": group.jid().to_string(),
        "subject": group.subject,
        "owner": group.owner,
        "created_at": group.created_s,
        "announce": group.announce,
        "members": members,
    })
}

pub(super) async fn create(world: State, Body(new): Body<NewGroup>) -> Answer<(StatusCode, Json<Value>)> {
    let group = world.create_group(&new.subject, &new.owner, &new.members).map_err(Error::unprocessable)?;
    Ok((StatusCode::CREATED, Json(describe(&group))))
}

pub(super) async fn list(world: State) -> Json<Vec<Value>> {
    Json(world.groups().iter().map(describe).collect())
}

pub(super) async fn show(world: State, Path(jid): Path<String>) -> Answer<Json<Value>> {
    Ok(Json(describe(&find(&world, &jid)?)))
}

fn find(world: &State, jid: &str) -> Answer<Group> {
    let id = jid.trim_end_matches("@g.us");
    world.group(id).ok_or_else(|| Error::not_found(format!("group {jid}")))
}

/// Changes a group in the name of its owner.
pub(super) async fn change(world: State, Path(jid): Path<String>, Body(change): Body<Change>) -> Answer<Json<Value>> {
    let group = find(&world, &jid)?;
    let (id, owner) = (group.id.as_str(), group.owner.as_str());
    let changed = || -> anyhow::Result<()> {
        if !change.add.is_empty() {
            world.add_members(id, owner, &change.add)?;
        }
        if !change.remove.is_empty() {
            world.remove_members(id, owner, &change.remove)?;
        }
        if !change.promote.is_empty() {
            world.set_roles(id, owner, &change.promote, Role::Admin)?;
        }
        if !change.demote.is_empty() {
            world.set_roles(id, owner, &change.demote, Role::Member)?;
        }
        if let Some(announce) = change.announce {
            world.set_announce(id, owner, announce)?;
        }
        if let Some(subject) = &change.subject {
            world.set_subject(id, owner, subject)?;
        }
        Ok(())
    };
    changed().map_err(Error::unprocessable)?;
    Ok(Json(describe(&find(&world, &jid)?)))
}
