//! Reports: the audit of sockets, counters, health. Also resets the world.

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, State};
use super::extract::Query;
use crate::drop_sockets::drop_sockets;
use crate::sync::lock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    number: Option<String>,
}

pub(super) async fn audit(world: State, Query(whose): Query<Whose>) -> Answer<Json<Value>> {
    let devices = world.audit.report(whose.number.as_deref());
    let overlap_count: usize = devices.iter().map(|device| device.overlaps.len()).sum();
    Ok(Json(json!({ "overlap_count": overlap_count, "devices": devices })))
}

pub(super) async fn stats(world: State) -> Json<Value> {
    let mut report = world.stats.report();
    report["sockets"] = json!(lock(&world.sockets).len());
    report["logged_in"] = json!(world.logged_in().len());
    report["phones"]["count"] = json!(world.accounts().len());
    report["groups"] = json!(world.groups().len());
    Json(report)
}

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Forgets the world, except the server's static key, and closes all sockets.
pub(super) async fn reset(world: State) -> Json<Value> {
    world.forget();
    drop_sockets(&world, "reset").await;
    Json(json!({ "status": "reset" }))
}
