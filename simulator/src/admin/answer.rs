//! What the handlers of the admin API share: the world, errors, and access to phones.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::world::World;
use crate::world::account::Account;

pub(super) type State = axum::extract::State<Arc<World>>;
pub(super) type Answer<T> = Result<T, Error>;

/// An error: the status and the reason.
pub(crate) struct Error(StatusCode, String);

impl Error {
    /// An error with the given status.
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self(status, why.into())
    }

    pub(super) fn not_found(what: impl std::fmt::Display) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    pub(super) fn unprocessable(error: impl std::fmt::Display) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }

    pub(super) fn conflict(error: &anyhow::Error) -> Self {
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

/// The phone with this number. It is created on first use.
pub(super) fn phone(world: &World, number: &str) -> Answer<Arc<Account>> {
    world.touch(number).ok_or_else(|| Error::unprocessable(format!("{number} is no number that can be on WhatsApp")))
}

/// The phone with this number, if it exists.
pub(super) fn existing_phone(world: &World, number: &str) -> Answer<Arc<Account>> {
    world.account(number).ok_or_else(|| Error::not_found(format!("phone {number}")))
}
