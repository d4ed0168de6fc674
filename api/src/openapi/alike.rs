//! What operations have alike, said once for all of them.

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

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

/// The operations of a document, each with its path and method.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = (&String, &'static str, &mut Operation)> {
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
        for (path, method, operation) in operations(document) {
            if method != "POST" || NOT_REPEATABLE.iter().any(|(exempt, _)| exempt == path) {
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

/// What a response says when its route does not say it better; the standard wants words at each.
pub(super) struct Words;

impl Modify for Words {
    fn modify(&self, document: &mut OpenApi) {
        for (_, _, operation) in operations(document) {
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
        "4XX" => "The request was not accepted",
        "503" => "Not in service",
        _ => "Here it is",
    }
}
