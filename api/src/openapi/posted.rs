//! What is posted to webhooks: the document's `webhooks`.

use domain::event::schema::{AnyEvent, WebhookTest};
use utoipa::Modify;
use utoipa::openapi::OpenApi;

/// Adds them.
pub(super) struct Posted;

/// An event
///
/// Posted until the answer is 2xx: for about a day, or for some hours if the answer is a 4xx. It may come twice, with
/// the same `webhook-id`.
#[utoipa::path(post, path = "event", tag = "Webhooks", request_body = AnyEvent,
    params(
        ("webhook-id" = String, Header, description = "The delivery's id, the same at each attempt"),
        ("webhook-timestamp" = i64, Header, description = "When it was sent, in seconds since 1970"),
        ("webhook-signature" = String, Header, description = "One or more of `v1,<base64>`, as Standard Webhooks says")),
    responses((status = "2XX", description = "It has arrived"), (status = 410, description = "The webhook is disabled")),
    security(()))]
#[expect(dead_code, reason = "a description")]
fn event() {}

/// A test
///
/// Posted on request, to one webhook, with the same headers.
#[utoipa::path(post, path = "test", tag = "Webhooks", request_body = WebhookTest,
    responses((status = "2XX", description = "It has arrived")), security(()))]
#[expect(dead_code, reason = "a description")]
fn test() {}

#[derive(utoipa::OpenApi)]
#[openapi(paths(event, test))]
struct Described;

impl Modify for Posted {
    fn modify(&self, document: &mut OpenApi) {
        let described = <Described as utoipa::OpenApi>::openapi();
        document.webhooks = Some(described.paths);
        let schemas = described.components.unwrap_or_default().schemas;
        document.components.get_or_insert_default().schemas.extend(schemas);
    }
}
