//! The API described for programs (`/openapi.json`) and for people (`/docs`, which needs nothing from elsewhere).

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{
    accounts, audit, dashboard, deliveries, editing, groups, health, keys, messages, notifications, pairing, passkey,
    pausing, preview, reminders, runs, tenants, webhooks,
};
use crate::{qr, sse};

mod alike;
pub mod expected;

pub use alike::NOT_REPEATABLE;
use alike::{Limits, Problems, Repeatable, Types, Words};

/// The page may run its own script and read this API, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
    paths(
        accounts::create, accounts::list, accounts::get, accounts::rename, accounts::delete,
        pairing::pair, pairing::get, qr::get, passkey::present, passkey::confirm, pairing::unpair, pairing::log_out,
        groups::list, groups::sync,
        messages::send, messages::list, messages::get,
        reminders::create, reminders::list, reminders::get, editing::update, editing::change, reminders::delete,
        preview::preview, pausing::pause, pausing::resume,
        runs::list_of_reminder, runs::list, runs::get, runs::resume, runs::cancel, runs::clear,
        notifications::list, notifications::read, notifications::read_all, dashboard::get,
        sse::get, audit::list,
        webhooks::create, webhooks::list, webhooks::get, webhooks::change, webhooks::delete, webhooks::rotate_secret,
        deliveries::test, deliveries::replay, deliveries::list, deliveries::retry,
        tenants::create, tenants::list, tenants::get, tenants::change, tenants::delete, tenants::audit, keys::create, keys::list, keys::revoke,
        health::get,
    ),
    security(("key" = []), ("key_header" = [])),
    modifiers(&Keys, &Limits, &Repeatable, &Problems, &Types, &Words)
)]
struct Document;

/// How a key is presented.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("key", bearer());
        components
            .add_security_scheme("key_header", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key"))));
        components.add_security_scheme("admin_key", bearer());
    }
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Routes that the document does not hold: it describes what programs call.
pub const UNDOCUMENTED: [(&str, &str); 2] = [("/openapi.json", "GET"), ("/docs", "GET")];

/// Every route of the tenants' port with each of its methods.
pub fn endpoints() -> impl Iterator<Item = (String, &'static str)> {
    let documented = document().paths.paths.into_iter().flat_map(|(path, item)| {
        let operations =
            [("GET", item.get), ("POST", item.post), ("PUT", item.put), ("PATCH", item.patch), ("DELETE", item.delete)];
        let methods = operations.into_iter().filter(|(_, operation)| operation.is_some());
        methods.map(|(method, _)| (path.clone(), method)).collect::<Vec<_>>()
    });
    documented.chain(UNDOCUMENTED.map(|(path, method)| (path.to_owned(), method)))
}

/// The document's text and its ETag; made once, as it is the same for everybody until the next release.
static TEXT: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let text = serde_json::to_vec(&document()).unwrap_or_default();
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(&text)[..12]);
    let etag = HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    (text.into(), etag)
});

/// `/openapi.json`. Who has it already is told so (304).
pub async fn json(headers: HeaderMap) -> Response {
    let (text, etag) = &*TEXT;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    let own = etag.to_str().unwrap_or_default();
    let is_known = known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == own || one == "*");
    let headers = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, "application/json")], text.clone()).into_response()
}

/// `/docs`.
pub async fn page() -> ([(HeaderName, HeaderValue); 1], Html<&'static str>) {
    let policy = [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY))];
    (policy, Html(include_str!("../docs.html")))
}
