//! What operations have alike, said once for all of them.

use serde_json::Value;
use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, ContentBuilder, OpenApi, Ref, RefOr, Required, Response};

use crate::problem::table;

/// POSTs whose answers say in `Location` where the thing is that was made or begun.
const LOCATED: [&str; 8] = [
    "/v1/accounts",
    "/v1/accounts/{account}/messages",
    "/v1/accounts/{account}/pair",
    "/v1/accounts/{account}/pair/passkey",
    "/v1/accounts/{account}/pair/passkey/confirm",
    "/v1/reminders",
    "/v1/tenants",
    "/v1/webhooks",
];

/// POSTs that take no `Idempotency-Key`, and why: they neither create nor send.
pub const NOT_REPEATABLE: [(&str, &str); 8] = [
    ("/v1/accounts/{account}/groups/sync", "asking twice is asking once"),
    ("/v1/accounts/{account}/logout", "logging out twice is logging out once"),
    ("/v1/accounts/{account}/unpair", "unpairing twice is unpairing once"),
    ("/v1/notifications/read", "reading twice is reading once"),
    ("/v1/notifications/{notification}/read", "reading twice is reading once"),
    ("/v1/reminders/preview", "it writes nothing"),
    ("/v1/reminders/{reminder}/pause", "pausing twice is pausing once"),
    ("/v1/reminders/{reminder}/resume", "resuming twice is resuming once"),
];

/// Each operation of a document, by path and method.
pub fn operations(document: &OpenApi) -> impl Iterator<Item = (String, &'static str)> {
    let mut document = document.clone();
    let all: Vec<_> = operations_mut(&mut document).map(|(path, method, _)| (path.clone(), method)).collect();
    all.into_iter()
}

/// The operations of a document, each with its path and method.
fn operations_mut(document: &mut OpenApi) -> impl Iterator<Item = (&String, &'static str, &mut Operation)> {
    document.paths.paths.iter_mut().flat_map(|(path, item)| {
        let methods = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        methods.into_iter().filter_map(move |(method, operation)| Some((path, method, operation.as_mut()?)))
    })
}

/// The header of requests that may be repeated, and what an answer says of it.
pub(super) struct Repeatable;

impl Modify for Repeatable {
    fn modify(&self, document: &mut OpenApi) {
        for (path, method, operation) in operations_mut(document) {
            if !is_repeatable(path, method) {
                continue;
            }
            operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if status.starts_with('2') {
                    let header = HeaderBuilder::new()
                        .schema(Some(Object::with_type(Type::Boolean)))
                        .description(Some("`true` when this request was answered before"));
                    response.headers.insert("Idempotency-Replayed".to_owned(), RefOr::T(header.build()));
                    if LOCATED.contains(&path.as_str()) {
                        let header = HeaderBuilder::new()
                            .schema(Some(Object::with_type(Type::String)))
                            .description(Some("Where the thing is"));
                        response.headers.insert("Location".to_owned(), RefOr::T(header.build()));
                    }
                }
            }
        }
    }
}

fn idempotency_key() -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[ -~]*$"))
        .build();
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The request may be repeated under it for 24 hours: it does its work once"))
        .schema(Some(text))
        .build()
}

/// What a preview asks for is what the reminder itself would ask for: the fields that both have are described at the reminder.
pub(super) struct Previewed;

impl Modify for Previewed {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = &mut document.components else { return };
        let Some(RefOr::T(Schema::Object(wish))) = components.schemas.get("Wish") else { return };
        let fields = wish.properties.clone();
        let Some(RefOr::T(Schema::Object(preview))) = components.schemas.get_mut("PreviewWish") else { return };
        for (name, field) in &mut preview.properties {
            if let Some(described) = fields.get(name) {
                field.clone_from(described);
            }
        }
    }
}

/// Limits that can't stand at their field: those of a list's items, and of a choice. Schema, place in it, word, value.
const LIMITS: [(&str, &str, &str, u64); 12] = [
    ("Wish", "/properties/messages/items", "maxLength", 65_536),
    ("Wish", "/properties/targets/items", "maxLength", 64),
    ("Wish", "/properties/exdates/items", "maxLength", 64),
    ("NewWebhook", "/properties/kinds/items", "maxLength", 100),
    ("WebhookChange", "/properties/kinds/items", "maxLength", 100),
    ("Recurrence", "/properties/times", "maxItems", 48),
    ("Recurrence", "/properties/times/items", "maxLength", 8),
    ("Edge", "/oneOf/0", "minimum", 0),
    ("Edge", "/oneOf/0", "maximum", 24),
    ("Edge", "/oneOf/1", "maxLength", 5),
    ("End", "/oneOf/1/properties/after", "minimum", 1),
    ("End", "/oneOf/1/properties/after", "maximum", 10_000),
];

/// Writes them.
pub(super) struct Limits;

impl Modify for Limits {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = &mut document.components else { return };
        for (name, place, word, value) in LIMITS {
            let Some(schema) = components.schemas.get_mut(name) else { continue };
            let Ok(mut plain) = serde_json::to_value(&*schema) else { continue };
            if let Some(Value::Object(fields)) = plain.pointer_mut(place) {
                fields.insert(word.to_owned(), value.into());
            }
            if let Ok(limited) = serde_json::from_value(plain) {
                *schema = limited;
            }
        }
    }
}

/// The problems that can be answered: those that a route names itself, and those that all have alike.
pub(super) struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        for (path, method, operation) in operations_mut(document) {
            if operation.security.as_ref().is_some_and(|needed| needed.iter().any(is_open)) {
                continue;
            }
            let parameters = operation.parameters.iter().flatten();
            let asks = parameters.filter(|one| matches!(one, RefOr::T(one) if one.parameter_in != ParameterIn::Path));
            let checked = operation.request_body.is_some() || asks.count() > 0;
            let has_body = operation.request_body.is_some() || is_repeatable(path, method);
            let mut statuses = vec!["401", "403", "500", "503"];
            statuses.extend(path.contains('{').then_some("404"));
            statuses.extend(checked.then_some("422"));
            statuses.extend(operation.request_body.is_some().then_some("415"));
            statuses.extend(has_body.then_some(["400", "408", "413"]).into_iter().flatten());
            statuses.extend((is_repeatable(path, method) || method == "PUT").then_some("409"));
            let named = &mut operation.responses.responses;
            for status in statuses {
                named.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::default()));
            }
            for (status, response) in named {
                if let RefOr::T(response) = response
                    && status.starts_with(['4', '5'])
                    && response.content.is_empty()
                {
                    response.content.insert("application/problem+json".to_owned(), RefOr::T(problem()));
                }
            }
        }
    }
}

/// The types of problems, by name.
pub(super) struct Types;

impl Modify for Types {
    fn modify(&self, document: &mut OpenApi) {
        let schema = document.components.as_mut().and_then(|components| components.schemas.get_mut("Problem"));
        let Some(RefOr::T(Schema::Object(problem))) = schema else { return };
        if let Some(RefOr::T(Schema::Object(kind))) = problem.properties.get_mut("type") {
            kind.description = Some(table::words());
        }
    }
}

fn is_repeatable(path: &str, method: &str) -> bool {
    method == "POST" && !NOT_REPEATABLE.iter().any(|(exempt, _)| *exempt == path)
}

/// Whether it asks for no key.
fn is_open(needed: &SecurityRequirement) -> bool {
    *needed == SecurityRequirement::default()
}

fn problem() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

/// What a response says when its route does not say it better; the standard wants words at each.
pub(super) struct Words;

impl Modify for Words {
    fn modify(&self, document: &mut OpenApi) {
        for (_, _, operation) in operations_mut(document) {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if response.description.is_empty() {
                    response.description = words_of(status).to_owned();
                }
            }
        }
    }
}

fn words_of(status: &str) -> &'static str {
    match status {
        "201" => "Created",
        "202" => "Accepted: stored safely, and under way",
        "204" => "Done",
        "400" => "The request can't be read",
        "401" => "No key, or one that is unknown or revoked",
        "403" => "The key is of the wrong side: a tenant's where an admin's is needed, or the other way round",
        "404" => "There is no such thing, or it is another tenant's",
        "406" => "None of the accepted forms is offered",
        "408" => "The body came too slowly",
        "409" => "Its present state does not allow this",
        "413" => "The body is too long: the detail says how long it may be",
        "415" => "The body is not JSON, or it is compressed",
        "422" => "Fields are not valid, or the Idempotency-Key belongs to another request",
        "500" => "A fault of ours",
        "503" => "Not in service, or not in time: try again in a moment",
        _ => "OK",
    }
}
