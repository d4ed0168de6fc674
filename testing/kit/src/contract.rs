//! Compares answers with an OpenAPI document (3.1, whose schemas are JSON Schema 2020-12). The operation must describe
//! the status, the content type and certain headers. The body must match its schema and may have no field that the
//! schema does not name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Headers that say something about the resource. The document must describe them wherever they are sent.
const TELLING: [&str; 3] = ["etag", "idempotency-replayed", "location"];

/// A document to compare answers with.
pub struct Contract {
    document: Value,
    /// Compiled schemas by their place in the document.
    compiled: Mutex<HashMap<String, Validator>>,
}

/// The parts of an answer that the document describes.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// `GET`, `POST` and so on.
    pub method: &'a str,
    /// The request's path, without its query.
    pub path: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// The content type; empty if there is none.
    pub content_type: &'a str,
    /// The names of its headers, in lower case.
    pub headers: &'a [&'a str],
    /// The body.
    pub body: &'a [u8],
}

impl Contract {
    /// Reads a document.
    #[must_use]
    pub fn of(mut document: Value) -> Self {
        if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
            schemas.values_mut().for_each(|schema| close(schema, false));
        }
        Self { document, compiled: Mutex::default() }
    }

    /// Checks that the document describes the answer. Paths that it does not name pass.
    ///
    /// # Errors
    /// A description of what is wrong.
    pub fn check(&self, answer: Answer<'_>) -> Result<(), String> {
        let Answer { method, path, status, .. } = answer;
        let Some((pattern, item)) = self.item(path) else { return Ok(()) };
        let method = method.to_lowercase();
        let Some(operation) = item.get(&method) else {
            return if status == 405 { Ok(()) } else { Err(format!("{method} {pattern} is not described")) };
        };
        let place = format!("{method} {pattern} {status}");
        let response = operation["responses"].get(status.to_string());
        let response = response.ok_or_else(|| format!("{place} is not described"))?;
        for name in answer.headers.iter().filter(|name| TELLING.contains(name)) {
            let described = response["headers"].as_object().into_iter().flat_map(|headers| headers.keys());
            if !described.into_iter().any(|one| one.eq_ignore_ascii_case(name)) {
                return Err(format!("{place}: the header `{name}` is not described"));
            }
        }
        self.check_body(&place, response, answer).map_err(|wrong| format!("{place}: {wrong}"))
    }

    /// The operations of a path. A pattern without parameters takes precedence over one with parameters.
    fn item(&self, path: &str) -> Option<(&str, &Value)> {
        let paths = self.document["paths"].as_object()?;
        let matching = paths.iter().filter(|(pattern, _)| is_path(pattern, path));
        matching.min_by_key(|(pattern, _)| pattern.matches('{').count()).map(|(pattern, item)| (pattern.as_str(), item))
    }

    fn check_body(&self, place: &str, response: &Value, answer: Answer<'_>) -> Result<(), String> {
        let essence = answer.content_type.split(';').next().unwrap_or_default().trim();
        let Some(content) = response["content"].as_object().filter(|content| !content.is_empty()) else {
            return if answer.body.is_empty() { Ok(()) } else { Err("a body that is not described".to_owned()) };
        };
        let described = content.get(essence).ok_or_else(|| format!("`{essence}` is not described"))?;
        if !essence.ends_with("json") {
            return Ok(());
        }
        let body: Value =
            serde_json::from_slice(answer.body).map_err(|error| format!("the body is not JSON: {error}"))?;
        self.check_value(format!("{place} {essence}"), &described["schema"], &body)
    }

    /// Checks that a value matches the schema called `name`.
    ///
    /// # Errors
    /// A description of what is wrong.
    pub fn check_named(&self, name: &str, value: &Value) -> Result<(), String> {
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        self.check_value(name.to_owned(), &schema, value).map_err(|wrong| format!("{name}: {wrong}"))
    }

    fn check_value(&self, key: String, schema: &Value, value: &Value) -> Result<(), String> {
        let mut compiled = self.compiled.lock().map_err(|error| error.to_string())?;
        let validator = match compiled.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(self.compile(schema)?),
        };
        let wrong: Vec<_> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn compile(&self, schema: &Value) -> Result<Validator, String> {
        let mut schema = schema.clone();
        close(&mut schema, true);
        let root = json!({"components": self.document["components"], "allOf": [schema]});
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        options.build(&root).map_err(|error| format!("the schema can't be read: {error}"))
    }
}

fn is_path(pattern: &str, path: &str) -> bool {
    let (mut parts, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given || (part.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Makes fields that a schema does not name an error. This applies where a schema describes a whole value (`is_whole`),
/// and not where it is a part of another schema (`allOf`).
fn close(schema: &mut Value, is_whole: bool) {
    let Value::Object(fields) = schema else { return };
    for (word, inner) in fields.iter_mut() {
        match (word.as_str(), inner) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(|one| close(one, true)),
            ("items" | "additionalProperties", inner) => close(inner, true),
            ("oneOf" | "anyOf", Value::Array(choices)) => choices.iter_mut().for_each(|one| close(one, true)),
            ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(|one| close(one, false)),
            _ => {}
        }
    }
    let names_fields =
        |fields: &Map<String, Value>| ["properties", "allOf", "$ref"].iter().any(|word| fields.contains_key(*word));
    if is_whole && names_fields(fields) {
        fields.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        let whole = json!({"allOf": [{"$ref": "#/components/schemas/Row"},
            {"type": "object", "required": ["more"], "properties": {"more": {"type": "string", "format": "uuid"}}}]});
        let responses =
            json!({"200": {"content": {"application/json": {"schema": whole}}}, "204": {"description": "gone"}});
        Contract::of(json!({
            "paths": {"/things/{thing}": {"get": {"responses": responses}}, "/things/all": {"get": {"responses": {}}}},
            "components": {"schemas": {"Row": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}}
        }))
    }

    fn said(path: &str, status: u16, content_type: &str, body: &str) -> Result<(), String> {
        contract().check(Answer {
            method: "GET",
            path,
            status,
            content_type,
            headers: &["date"],
            body: body.as_bytes(),
        })
    }

    /// R77: a header that says something about the resource must be described.
    #[test]
    fn a_header_that_is_not_described_is_found() {
        let answer = |headers| {
            contract().check(Answer {
                method: "GET",
                path: "/things/7",
                status: 204,
                content_type: "",
                headers,
                body: b"",
            })
        };
        assert_eq!(answer(&["date", "server"]), Ok(()));
        assert!(answer(&["date", "location"]).is_err_and(|wrong| wrong.contains("`location`")));
    }

    /// R77: a difference between an answer and its description is found.
    #[test]
    fn what_is_not_described_is_found() {
        let more = "0199c0de-0000-7000-8000-000000000000";
        let good = format!(r#"{{"id": 1, "more": "{more}"}}"#);
        assert_eq!(said("/things/7", 200, "application/json", &good), Ok(()));
        assert_eq!(said("/things/7", 204, "", ""), Ok(()));
        assert_eq!(said("/elsewhere", 200, "", ""), Ok(()));
        for (status, content_type, body) in [
            (201, "application/json", good.clone()),
            (200, "text/plain", good),
            (204, "", "x".to_owned()),
            (200, "application/json", format!(r#"{{"id": "1", "more": "{more}"}}"#)),
            (200, "application/json", r#"{"id": 1}"#.to_owned()),
            (200, "application/json", r#"{"id": 1, "more": "no uuid"}"#.to_owned()),
            (200, "application/json", format!(r#"{{"id": 1, "more": "{more}", "undescribed": 1}}"#)),
            (200, "application/json", "no JSON".to_owned()),
        ] {
            assert!(said("/things/7", status, content_type, &body).is_err(), "{status} {content_type} {body}");
        }
        assert!(said("/things/all", 200, "", "").is_err(), "what is spelled out goes first");
    }
}
