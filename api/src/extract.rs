//! Reading requests: bodies, paths and queries, with problems that name what is wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::problem::{Problem, Result};

/// Longest body, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;
/// Longest body of a reminder, in bytes.
pub const LONG_BODY_LIMIT: usize = 4 * 1024 * 1024;

/// What a body may be.
pub trait Body: Sized {
    /// Reads it; `is_json` is what its content type says.
    ///
    /// # Errors
    /// A problem that names what is wrong with it.
    fn read(is_json: bool, bytes: &[u8]) -> Result<Self>;
}

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body that may be missing.
pub struct OptionalJson<T>(pub T);

/// Whatever body there is, nobody looks at it.
pub struct NoBody;

impl<T: DeserializeOwned> Body for Json<T> {
    fn read(is_json: bool, bytes: &[u8]) -> Result<Self> {
        if !is_json {
            return Err(Problem::UnsupportedMediaType);
        }
        parse(bytes).map(Self)
    }
}

impl<T: DeserializeOwned + Default> Body for OptionalJson<T> {
    fn read(is_json: bool, bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        Json::read(is_json, bytes).map(|Json(value)| Self(value))
    }
}

impl Body for NoBody {
    fn read(_is_json: bool, _bytes: &[u8]) -> Result<Self> {
        Ok(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_json = says_json(&request);
        Self::read(is_json, &read(request, state).await?)
    }
}

/// Whether the content type is JSON.
pub(crate) fn says_json(request: &Request) -> bool {
    content_type(request).is_some_and(is_json)
}

fn content_type(request: &Request) -> Option<&str> {
    request.headers().get(header::CONTENT_TYPE)?.to_str().ok()
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The body, up to the limit of its route.
pub(crate) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::TooLarge,
        _ => Problem::Malformed("The body did not arrive whole".to_owned()),
    })
}

/// Parses a body; an error names the field at which reading stopped.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            serde_json::error::Category::Data => invalid(&path, &error.to_string()),
            _ => Problem::Malformed(format!("The body is not JSON: {error}")),
        }
    })?;
    json.end().map_err(|error| Problem::Malformed(format!("The body is not JSON: {error}")))?;
    Ok(value)
}

/// Turns serde's words into a field and what is wrong with it.
fn invalid(path: &str, message: &str) -> Problem {
    let message = message.split(" at line ").next().unwrap_or(message);
    let parent = path.trim_end_matches('.').trim_end_matches('?');
    let named = |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    if let Some(field) = named("missing field `") {
        let field = if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") };
        return Problem::field(field, "is required");
    }
    if let Some(field) = named("unknown field `") {
        let known = message.split_once(", ").map_or("", |(_, known)| known);
        let prefix = parent.strip_suffix(field).unwrap_or(parent);
        let prefix = if prefix.is_empty() || prefix.ends_with('.') { prefix.to_owned() } else { format!("{prefix}.") };
        return Problem::field(format!("{prefix}{field}"), format!("is not known here; {known}"));
    }
    Problem::field(if parent.is_empty() { "body" } else { parent }, message)
}

/// Ids in the path. What is no id names nothing, so it is not found.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(Problem::NotFound),
        }
    }
}

/// Parameters of the query.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, text)| text);
                let (path, message) = text.split_once(": ").unwrap_or(("", text));
                Err(invalid(path, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from JSON")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from JSON")]
    struct Inner {
        size: u8,
    }

    fn field_of(json: &str) -> String {
        match parse::<Outer>(json.as_bytes()) {
            Err(Problem::Invalid(errors)) => errors.first().map(|error| error.field.clone()).unwrap_or_default(),
            Err(other) => format!("{other:?}"),
            Ok(_) => "accepted".to_owned(),
        }
    }

    #[test]
    fn a_problem_names_the_field() {
        assert_eq!(field_of(r#"{"name":"x"}"#), "accepted");
        assert_eq!(field_of(r"{}"), "name");
        assert_eq!(field_of(r#"{"name":1}"#), "name");
        assert_eq!(field_of(r#"{"name":"x","nam":1}"#), "nam");
        assert_eq!(field_of(r#"{"name":"x","inner":{}}"#), "inner.size");
        assert_eq!(field_of(r#"{"name":"x","inner":{"size":300}}"#), "inner.size");
        assert_eq!(field_of(r#"{"name":"x","inner":{"size":3,"colour":1}}"#), "inner.colour");
        assert_eq!(field_of("[]"), "body");
        assert!(field_of("{").starts_with("Malformed"));
        assert!(field_of(r#"{"name":"x"} tail"#).starts_with("Malformed"));
    }
}
