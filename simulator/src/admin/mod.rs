//! The admin API: phones, their actions, faults, and reports.

mod answer;
mod extract;
mod faults;
mod groups;
mod messages;
mod pairing;
mod phones;
mod reports;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post};

use crate::world::World;
use answer::Error;

const BODY_MAX: usize = 256 * 1024;

pub(crate) fn router(world: Arc<World>) -> Router {
    let admin = Router::new()
        .route("/phones", post(phones::create).get(phones::list))
        .route("/phones/{number}", get(phones::show))
        .route("/phones/{number}/devices/{device}", delete(phones::unlink))
        .route("/phones/{number}/enter-code", post(pairing::enter_code))
        .route("/phones/{number}/passkey", post(pairing::present_passkey))
        .route("/phones/{number}/inbox", get(messages::inbox))
        .route("/phones/{number}/send", post(messages::send))
        .route("/phones/{number}/read", post(messages::read))
        .route("/mock-phone/scan-qr", post(pairing::scan_qr))
        .route("/groups", post(groups::create).get(groups::list))
        .route("/groups/{jid}", patch(groups::change).get(groups::show))
        .route("/faults", post(faults::switch_on).get(faults::list).delete(faults::clear))
        .route("/audit", get(reports::audit))
        .route("/stats", get(reports::stats))
        .route("/health", get(reports::health))
        .route("/reset", post(reports::reset));
    Router::new()
        .nest("/admin", admin)
        .fallback(async || Error::not_found("page"))
        .method_not_allowed_fallback(async || Error::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(world)
}
