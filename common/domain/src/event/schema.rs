//! Pure. What streams and webhooks deliver, as schemas for the OpenAPI document: one for each kind, and the choice among them.

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

/// A test that a webhook was sent on request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema")]
pub struct WebhookTest {
    /// The delivery's id; the same in each attempt.
    id: uuid::Uuid,
    /// Always `webhook.test`.
    #[schema(pattern = "^webhook\\.test$")]
    kind: String,
    /// Null: it happened at no account.
    #[schema(required)]
    account_id: Option<AccountId>,
    /// Which webhook.
    data: WebhookTestData,
    /// When it was asked for.
    created_at: chrono::DateTime<chrono::Utc>,
}

/// What a test carries.
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

/// Any event: which schema it has, its `kind` says.
#[must_use]
fn any() -> RefOr<Schema> {
    let mapping = Kind::ALL.iter().map(|kind| (kind.as_str(), reference(&kind.schema_name())));
    let choices = OneOfBuilder::new()
        .description(Some("What happened. Its `kind` says what it carries; leave alone a kind that you do not know."))
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
        .description(Some("Its place; also the event's `id` in a stream."))
        .examples([serde_json::json!("7421-93")]);
    let account = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .description(Some("At which account, if at one."));
    let instant = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("When."));
    ObjectBuilder::new()
        .description(Some(kind.about()))
        .property("id", id)
        .property("kind", word.description(Some("What; also the event's name in a stream.")))
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
