//! `/admin/faults`: switching faults on, listing how often they fired, switching them off.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, State};
use super::extract::Body;
use crate::fault::{Fault, Order};

pub(super) async fn switch_on(world: State, Body(order): Body<Order>) -> Answer<(StatusCode, Json<Fault>)> {
    let fault = world.switch_on(order);
    Ok((StatusCode::CREATED, Json(fault)))
}

pub(super) async fn list(world: State) -> Json<Vec<Fault>> {
    Json(world.faults.report())
}

pub(super) async fn clear(world: State) -> Json<Value> {
    Json(json!({ "cleared": world.faults.clear() }))
}
