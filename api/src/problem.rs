//! All error answers, as RFC 9457 `application/problem+json`. Only here errors become HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::conflict::Conflict;

use serde::Serialize;
use utoipa::ToSchema;

mod conflict;
pub mod table;

/// The prefix of each `type`.
const TYPE: &str = "urn:switchboard:problem:";

tokio::task_local! {
    /// The id of the current request.
    pub static REQUEST_ID: String;
}

/// The result of a handler.
pub type Result<T> = std::result::Result<T, Problem>;

/// One field of a request that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Which, as it is written in the request; a parameter's or header's name counts as a field.
    #[schema(example = "recurrence.weekdays")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "only go with kind `weekly`")]
    pub message: String,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, strum::EnumCount)]
pub enum Problem {
    /// The body does not have the format of its content type.
    Malformed(String),
    /// Fields were not accepted.
    Invalid(Vec<FieldError>),
    /// There is no key, or it is unknown or revoked.
    Unauthorized,
    /// The key is valid but has the wrong role.
    Forbidden(&'static str),
    /// The object does not exist, or belongs to another tenant.
    NotFound,
    /// A field names an object that does not exist, or belongs to another tenant.
    NoSuch(FieldError),
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The current state of the object does not allow this.
    Conflict(Conflict),
    /// The object was edited after the client read it.
    Changed(String),
    /// Events after the client's position are no longer stored.
    Gone {
        /// The position after which all events are stored.
        oldest: String,
    },
    /// The idempotency key belongs to another request.
    KeyReused,
    /// There is no QR code, for this reason.
    NoCode(String),
    /// The body is longer than its route allows. Holds the limit in bytes.
    TooLarge(usize),
    /// The body comes too slowly.
    SlowBody,
    /// The body is not JSON, or is encoded.
    UnsupportedMediaType(&'static str),
    /// None of the accepted representations is available.
    NotAcceptable(&'static str),
    /// Too many requests or streams at the same time.
    TooMany(&'static str),
    /// The request took too long.
    Timeout,
    /// The database or Redis is away.
    Unavailable,
    /// An internal error. It was logged where this value was created.
    Internal,
}

/// The body of an error answer (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// Which problem, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:switchboard:problem:not-found")]
    kind: String,
    /// Which problem, for people.
    #[schema(example = "Not found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// More about this occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The request's id, to be quoted in reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0199c0de-0000-7000-8000-000000000000")]
    instance: Option<String>,
    /// With `gone`: the oldest position from which on everything is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "7421-93")]
    oldest: Option<String>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem with one field.
    pub fn field(field: impl Into<String>, message: impl ToString) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.to_string() }])
    }

    /// A problem with one field that names a missing object.
    pub fn no_such(field: impl Into<String>, message: impl ToString) -> Self {
        Self::NoSuch(FieldError { field: field.into(), message: message.to_string() })
    }

    /// Logs an internal error and hides it from the client.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        let request_id = REQUEST_ID.try_with(Clone::clone).unwrap_or_default();
        tracing::error!(%error, request_id, "a request failed");
        Self::Internal
    }

    /// The status, slug and title of a problem.
    const fn row(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request can't be read"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Some fields are not valid"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "This key may not do that"),
            Self::NotFound | Self::NoSuch(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::Conflict(conflict) => (StatusCode::CONFLICT, conflict.slug(), conflict::title(conflict)),
            Self::Changed(_) => (StatusCode::PRECONDITION_FAILED, "changed", "It was edited since it was read"),
            Self::Gone { .. } => (StatusCode::GONE, "gone", "Events after this position are not kept any more"),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The Idempotency-Key belongs to another request",
            ),
            Self::NoCode(_) => (StatusCode::NOT_FOUND, "no-qr-code", "There is no QR code"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too long"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body came too slowly"),
            Self::UnsupportedMediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body must be JSON")
            }
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "Not available in that form"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many at the same time"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout", "The request took too long"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Malformed(detail) | Self::Changed(detail) | Self::NoCode(detail) => Some(detail.clone()),
            Self::Conflict(conflict) => Some(conflict.to_string()),
            Self::TooLarge(limit) => Some(format!("This route takes at most {limit} bytes")),
            Self::SlowBody => Some("It must arrive within 25 seconds, without a pause of ten seconds".to_owned()),
            Self::Forbidden(detail)
            | Self::UnsupportedMediaType(detail)
            | Self::NotAcceptable(detail)
            | Self::TooMany(detail) => Some((*detail).to_owned()),
            Self::Unauthorized => Some("Send it as `Authorization: Bearer <key>` or `X-Api-Key: <key>`".to_owned()),
            Self::Gone { oldest } => Some(format!("Continue from {oldest}, and reload what older events told you")),
            Self::Timeout | Self::Unavailable => Some("Try again in a moment".to_owned()),
            Self::Invalid(_)
            | Self::NotFound
            | Self::NoSuch(_)
            | Self::MethodNotAllowed
            | Self::KeyReused
            | Self::Internal => None,
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound | store::Error::Fenced => Self::NotFound,
            store::Error::Conflict(conflict) => Self::Conflict(conflict),
            error @ store::Error::Changed(_) => Self::Changed(error.to_string()),
            error if error.is_transient() => {
                tracing::warn!(%error, "the database is away, or asks to try again");
                Self::Unavailable
            }
            error @ (store::Error::Closed
            | store::Error::Database(_)
            | store::Error::Unavailable(_)
            | store::Error::UnknownKey { .. }
            | store::Error::Corrupt(_)) => Self::internal(&error),
        }
    }
}

impl From<schedule::Error> for Problem {
    fn from(error: schedule::Error) -> Self {
        Self::field(error.field, error.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, slug, title) = self.row();
        let body = Body {
            kind: format!("{TYPE}{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            instance: REQUEST_ID.try_with(Clone::clone).ok(),
            oldest: match &self {
                Self::Gone { oldest } => Some(oldest.clone()),
                _ => None,
            },
            errors: match &self {
                Self::Invalid(errors) => errors.clone(),
                Self::NoSuch(error) => vec![error.clone()],
                _ => Vec::new(),
            },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Timeout | Self::Unavailable | Self::TooMany(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            // the rest of the body is not read
            Self::SlowBody | Self::TooLarge(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
