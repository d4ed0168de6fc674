//! The whole API on one page.

use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use crate::context::Context;
use crate::extract::BodyLimit;
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

/// Every route, with what surrounds them.
pub fn router(context: Context) -> Router {
    openapi::expected::learn(|| serde_json::to_value(openapi::document()).unwrap_or_default());
    Router::new()
        // for admins
        .route("/v1/tenants", post(tenants::create).get(tenants::list))
        .route("/v1/tenants/{tenant}", get(tenants::get).patch(tenants::change).delete(tenants::delete))
        .route("/v1/tenants/{tenant}/audit", get(tenants::audit))
        .route("/v1/tenants/{tenant}/keys", post(keys::create).get(keys::list))
        .route("/v1/tenants/{tenant}/keys/{key}", delete(keys::revoke))
        // accounts and their life
        .route("/v1/accounts", post(accounts::create).get(accounts::list))
        .route("/v1/accounts/{account}", get(accounts::get).patch(accounts::rename).delete(accounts::delete))
        .route("/v1/accounts/{account}/pair", post(pairing::pair))
        .route("/v1/accounts/{account}/pair/passkey", post(passkey::present))
        .route("/v1/accounts/{account}/pair/passkey/confirm", post(passkey::confirm))
        .route("/v1/accounts/{account}/pairing", get(pairing::get))
        .route("/v1/accounts/{account}/qr", get(qr::get))
        .route("/v1/accounts/{account}/unpair", post(pairing::unpair))
        .route("/v1/accounts/{account}/logout", post(pairing::log_out))
        .route("/v1/accounts/{account}/groups", get(groups::list))
        .route("/v1/accounts/{account}/groups/sync", post(groups::sync))
        // messages
        .route(
            "/v1/accounts/{account}/messages",
            post(messages::send).get(messages::list).layer(Extension(BodyLimit(extract::TEXT_BODY_LIMIT))),
        )
        .route("/v1/messages/{message}", get(messages::get))
        // reminders
        .route("/v1/reminders", post(reminders::create).get(reminders::list).layer(long_body()))
        .route("/v1/reminders/preview", post(preview::preview))
        .route(
            "/v1/reminders/{reminder}",
            get(reminders::get)
                .put(editing::update)
                .patch(editing::change)
                .delete(reminders::delete)
                .layer(long_body()),
        )
        .route("/v1/reminders/{reminder}/pause", post(pausing::pause))
        .route("/v1/reminders/{reminder}/resume", post(pausing::resume))
        .route("/v1/reminders/{reminder}/runs", get(runs::list_of_reminder))
        .route("/v1/runs", get(runs::list).delete(runs::clear))
        .route("/v1/runs/{run}", get(runs::get))
        .route("/v1/runs/{run}/resume", post(runs::resume))
        .route("/v1/runs/{run}/cancel", post(runs::cancel))
        .route("/v1/notifications", get(notifications::list))
        .route("/v1/notifications/read", post(notifications::read_all))
        .route("/v1/notifications/{notification}/read", post(notifications::read))
        .route("/v1/dashboard", get(dashboard::get))
        // what happened
        .route("/v1/events", get(sse::get))
        .route("/v1/audit", get(audit::list))
        .route("/v1/webhooks", post(webhooks::create).get(webhooks::list))
        .route("/v1/webhooks/{webhook}", get(webhooks::get).patch(webhooks::change).delete(webhooks::delete))
        .route("/v1/webhooks/{webhook}/rotate-secret", post(webhooks::rotate_secret))
        .route("/v1/webhooks/{webhook}/test", post(deliveries::test))
        .route("/v1/webhooks/{webhook}/replay", post(deliveries::replay))
        .route("/v1/webhooks/{webhook}/deliveries", get(deliveries::list))
        .route("/v1/webhooks/{webhook}/deliveries/{delivery}/retry", post(deliveries::retry))
        // about the service; without a key
        .route("/health", get(health::get))
        .route("/openapi.json", get(openapi::json))
        .route("/docs", get(openapi::page))
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
