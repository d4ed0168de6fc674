//! All routes of the API. The path and method of each are in the description at its handler.

use std::sync::LazyLock;

use axum::middleware::from_fn;
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::context::Context;
use crate::extract::BodyLimit;
use crate::openapi::page::UNDOCUMENTED;
use crate::problem::Problem;
use crate::{extract, middleware, openapi, qr, sse};

pub mod accounts;
pub mod audit;
pub mod dashboard;
pub mod deliveries;
pub mod editing;
pub mod groups;
pub mod health;
pub mod keys;
pub mod messages;
pub mod notifications;
pub mod pairing;
pub mod passkey;
pub mod patch;
pub mod pausing;
pub mod preview;
pub mod reminders;
pub mod runs;
pub mod tenants;
pub mod version;
pub mod webhooks;
pub mod wish;

/// Built once, because it is the same until the next release.
static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| openapi::finished(described().into_openapi()));

/// The OpenAPI document.
#[must_use]
pub fn document() -> &'static OpenApi {
    &DOCUMENT
}

/// Every route of the tenants' port with each of its methods.
pub fn endpoints() -> impl Iterator<Item = (String, &'static str)> {
    let documented = openapi::operations(document());
    documented.chain(UNDOCUMENTED.map(|path| (path.to_owned(), "GET")))
}

/// Every route that the OpenAPI document describes.
fn described() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(openapi::frame())
        // for admins
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::get, tenants::change, tenants::delete))
        .routes(routes!(tenants::audit))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        // accounts and their life
        .routes(routes!(accounts::create, accounts::list))
        .routes(routes!(accounts::get, accounts::rename, accounts::delete))
        .routes(routes!(pairing::pair))
        .routes(routes!(passkey::present))
        .routes(routes!(passkey::confirm))
        .routes(routes!(pairing::get))
        .routes(routes!(qr::get))
        .routes(routes!(pairing::unpair))
        .routes(routes!(pairing::log_out))
        .routes(routes!(groups::list))
        .routes(routes!(groups::sync))
        // messages
        .routes(routes!(messages::send, messages::list).layer(Extension(BodyLimit(extract::TEXT_BODY_LIMIT))))
        .routes(routes!(messages::send_batch).layer(Extension(BodyLimit(extract::BATCH_BODY_LIMIT))))
        .routes(routes!(messages::get))
        // reminders
        .routes(routes!(reminders::create, reminders::list).layer(long_body()))
        .routes(routes!(preview::preview))
        .routes(routes!(reminders::get, editing::update, editing::change, reminders::delete).layer(long_body()))
        .routes(routes!(pausing::pause))
        .routes(routes!(pausing::resume))
        .routes(routes!(runs::list_of_reminder))
        .routes(routes!(runs::list, runs::clear))
        .routes(routes!(runs::get))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::cancel))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::read_all))
        .routes(routes!(notifications::read))
        .routes(routes!(dashboard::get))
        // what happened
        .routes(routes!(sse::get))
        .routes(routes!(audit::list))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::get, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(deliveries::test))
        .routes(routes!(deliveries::replay))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::retry))
        // about the service; without a key
        .routes(routes!(health::get))
}

/// Every route, with the middleware around them.
pub fn router(context: Context) -> Router {
    openapi::expected::learn(document());
    let (router, _) = described().split_for_parts();
    router
        .route("/openapi.json", get(openapi::json).layer(Extension(openapi::Text::of(document()))))
        .route("/docs", get(openapi::page::moved))
        .route("/docs/", get(openapi::page::index))
        .route("/docs/{file}", get(openapi::page::file))
        .with_state(context)
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(middleware::on_panic))
        .layer(from_fn(middleware::around))
}

/// A reminder may hold ten texts of the longest kind and hundreds of chats.
fn long_body() -> Extension<BodyLimit> {
    Extension(BodyLimit(extract::LONG_BODY_LIMIT))
}
