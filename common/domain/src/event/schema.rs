//! Pure. The OpenAPI schemas of the events that streams and webhooks deliver: one for each kind, and the choice among
//! them.

use std::borrow::Cow;

use utoipa::openapi::schema::{Discriminator, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Kind;
use crate::id::{AccountId, WebhookId};

/// An event of any kind, as streams and webhooks deliver it.
pub struct AnyEvent;

impl PartialSchema for AnyEvent {
    fn schema() -> RefOr<Schema> {
        any()
    }
}

impl ToSchema for AnyEvent {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Event")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        all(schemas);
    }
}

/// A test that was sent to a webhook on request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
pub struct WebhookTest {
    /// The delivery's id, the same at each attempt.
    id: uuid::Uuid,
    /// Always `webhook.test`.
    #[schema(pattern = "^webhook\\.test$")]
    kind: String,
    /// Always null, because a test belongs to no account.
    #[schema(required)]
    account_id: Option<AccountId>,
    /// The data of the test.
    data: WebhookTestData,
    /// When it was requested.
    created_at: chrono::DateTime<chrono::Utc>,
}

/// The data of a test.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
pub struct WebhookTestData {
    /// The webhook that is tested.
    webhook_id: WebhookId,
}

impl Kind {
    /// The name of the schema of an event of this kind, such as `MessageSentEvent`.
    #[must_use]
    pub fn schema_name(self) -> String {
        format!("{self:?}Event")
    }
}

/// The schema of any event. `kind` selects the schema.
#[must_use]
fn any() -> RefOr<Schema> {
    let mapping = Kind::ALL.iter().map(|kind| (kind.as_str(), reference(&kind.schema_name())));
    let choices = OneOfBuilder::new()
        .description(Some("An event. Its `kind` says which data it has. Ignore kinds that you do not know."))
        .discriminator(Some(Discriminator::with_mapping("kind", mapping)));
    let choices =
        Kind::ALL.iter().fold(choices, |choices, kind| choices.item(Ref::from_schema_name(kind.schema_name())));
    RefOr::T(choices.build().into())
}

/// The schemas of each kind, and all that they refer to.
pub fn all(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    for kind in Kind::ALL {
        schemas.push((kind.schema_name(), RefOr::T(one(*kind))));
        kind.payload_schemas(schemas);
    }
}

fn one(kind: Kind) -> Schema {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind.as_str()]));
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("Its position, which is also the event's `id` in a stream."))
        .examples([serde_json::json!("7421-93")]);
    let account = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .description(Some("The account, if it belongs to one."));
    let instant = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("When it happened."));
    ObjectBuilder::new()
        .description(Some(kind.about()))
        .property("id", id)
        .property("kind", word.description(Some("Its kind, which is also the event's name in a stream.")))
        .property("account_id", account)
        .property("data", Ref::from_schema_name(kind.payload_name()))
        .property("created_at", instant)
        .required("id")
        .required("kind")
        .required("account_id")
        .required("data")
        .required("created_at")
        .build()
        .into()
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}
