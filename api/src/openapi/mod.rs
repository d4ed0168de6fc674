//! The API described for programs (`/openapi.json`) and for people (`/docs`, which needs nothing from elsewhere).

use axum::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::problem::Body;

mod alike;
pub mod expected;
pub mod page;
mod posted;

use alike::{Limits, Previewed, Problems, Repeatable, Types, Words};
pub use alike::{NOT_REPEATABLE, operations};
use posted::Posted;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Switchboard",
        description = "A self-hosted gateway to WhatsApp for many tenants.\n\nEvery request but those about the service \
            itself carries a key, as `Authorization: Bearer <key>` or `X-Api-Key: <key>`. Whatever is answered with 2xx is \
            stored safely. Errors are `application/problem+json` (RFC 9457) and name the field that was not accepted. Lists \
            come in pages: give `next_cursor` back as `cursor`.\n\nA request that creates or sends may be repeated for 24 \
            hours: with the same `Idempotency-Key` it does its work once and is answered alike.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "Accounts", description = "A WhatsApp account of yours: a row that a phone is linked to."),
        (name = "Pairing", description = "Linking a phone and unlinking it."),
        (name = "Groups", description = "Where the account takes part."),
        (name = "Messages", description = "Sending, and following what becomes of it."),
        (name = "Reminders", description = "Texts that are sent at a time, once or again and again."),
        (name = "Notifications", description = "What people are told about reminders."),
        (name = "Events", description = "What happened, live and in hindsight."),
        (name = "Webhooks", description = "What happened, posted to you. Requests carry the headers of Standard Webhooks: \
            `webhook-id` (the same at each attempt), `webhook-timestamp` and `webhook-signature`."),
        (name = "Tenants", description = "For admins: tenants and their keys."),
        (name = "Service", description = "About this installation; without a key."),
    ),
    components(schemas(Body)),
    security(("key" = []), ("key_header" = []))
)]
struct Document;

/// How a key is presented.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |whose| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(whose));
            SecurityScheme::Http(scheme.build())
        };
        components.add_security_scheme("key", bearer("A tenant's key"));
        let header = ApiKeyValue::with_description("X-Api-Key", "The same key in a header of its own");
        components.add_security_scheme("key_header", SecurityScheme::ApiKey(ApiKey::Header(header)));
        components.add_security_scheme("admin_key", bearer("An admin's key: for tenants and their keys"));
    }
}

/// The document without its operations, which the routes bring.
pub(crate) fn frame() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document with its operations, and with what they have alike.
pub(crate) fn finished(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let alike: [&dyn Modify; 8] = [&Keys, &Posted, &Limits, &Previewed, &Repeatable, &Problems, &Types, &Words];
    alike.into_iter().for_each(|modifier| modifier.modify(&mut document));
    document
}

/// The document's text and its ETag; made once, as it is the same for everybody until the next release.
#[derive(Debug, Clone)]
pub struct Text {
    json: Bytes,
    etag: HeaderValue,
}

impl Text {
    /// The text of a document.
    #[must_use]
    pub fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let json = serde_json::to_vec(document).unwrap_or_default();
        let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&json)[..12]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { json: json.into(), etag }
    }
}

/// `/openapi.json`. Who has it already is told so (304).
pub async fn json(Extension(text): Extension<Text>, headers: HeaderMap) -> Response {
    let Text { json, etag } = text;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let own = etag.to_str().unwrap_or_default();
    let is_known = known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == own || one == "*");
    let headers = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
