//! The admin API: who the phones are, what they do, what goes wrong, and what was seen.

mod extract;
mod faults;
mod groups;
mod messages;
mod pairing;
mod phones;
mod reports;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::json;

use crate::world::World;
use crate::world::account::Account;
use extract::{Body, Path, Query};

const BODY_MAX: usize = 256 * 1024;

pub(crate) type State = axum::extract::State<Arc<World>>;
type Answer<T> = Result<T, Error>;

/// A refusal: the status, and why.
pub(crate) struct Error(StatusCode, String);

impl Error {
    fn not_found(what: impl std::fmt::Display) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    fn unprocessable(error: impl std::fmt::Display) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }

    fn conflict(error: &anyhow::Error) -> Self {
        Self(StatusCode::CONFLICT, format!("{error:#}"))
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

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
        .method_not_allowed_fallback(async || Error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned()))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(world)
}

/// The phone of a number, made on first touch.
fn phone(world: &World, number: &str) -> Answer<Arc<Account>> {
    world.touch(number).ok_or_else(|| Error::unprocessable(format!("{number} is no number that can be on WhatsApp")))
}

/// The phone of a number that exists already.
fn existing_phone(world: &World, number: &str) -> Answer<Arc<Account>> {
    world.account(number).ok_or_else(|| Error::not_found(format!("phone {number}")))
}
