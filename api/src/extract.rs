//! Reads requests: bodies, paths and queries. All messages about wrong requests are made here. A problem names the
//! field and describes the allowed values as the OpenAPI document does. It reveals nothing about the implementation.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method};
use bytes::BytesMut;
use domain::message::MAX_TEXT;
use http_body_util::BodyExt as _;
use schedule::nearest::did_you_mean;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::openapi::expected::{self, Schema, Step};
use crate::problem::{Problem, Result};

/// The highest number of bytes of one character in JSON: two escapes of a surrogate pair, `\ud83d\udc4b`.
const ESCAPED: usize = 12;
/// The longest body in bytes, unless a route sets another limit.
pub const BODY_LIMIT: usize = 256 * 1024;
/// The longest body with a text: the longest text in any escaped form, and room for the rest.
pub const TEXT_BODY_LIMIT: usize = ESCAPED * MAX_TEXT + 64 * 1024;
/// The longest body of a batch of messages: a thousand texts of 4,000 bytes each, or fewer longer ones.
pub const BATCH_BODY_LIMIT: usize = 4 * 1024 * 1024;
/// The longest body of a reminder: ten of the longest texts in any escaped form, and room for the rest.
pub const LONG_BODY_LIMIT: usize = 10 * ESCAPED * MAX_TEXT + 256 * 1024;
/// How long a body may send nothing before it is given up.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a whole body may take. This is shorter than the time limit of the request.
const WHOLE: Duration = Duration::from_secs(25);

/// The longest body of a route, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

/// The operation of a request: its method and its route's pattern.
#[derive(Debug, Clone, Default)]
pub struct Operation {
    method: String,
    path: String,
}

impl Operation {
    fn of(method: &Method, extensions: &Extensions) -> Self {
        let path = extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
        Self { method: method.as_str().to_owned(), path: path.unwrap_or_default() }
    }

    fn body(&self) -> Option<Schema> {
        expected::body(&self.method, &self.path)
    }
}

/// A type that is read from a request's body.
pub trait Body: Sized {
    /// Parses the body.
    ///
    /// # Errors
    /// A problem that names what is wrong with it.
    fn read(body: &Read) -> Result<Self>;
}

/// A complete body, with the relevant parts of its request.
pub struct Read {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether its content type is JSON.
    is_json: bool,
    operation: Operation,
}

/// A JSON body.
pub struct Json<T>(pub T);

/// A JSON body that may be missing.
pub struct OptionalJson<T>(pub T);

/// Ignores the body.
pub struct NoBody;

impl<T: DeserializeOwned> Body for Json<T> {
    fn read(body: &Read) -> Result<Self> {
        if !body.is_json {
            return Err(Problem::UnsupportedMediaType("Send `Content-Type: application/json`"));
        }
        parse(&body.bytes, body.operation.body()).map(Self)
    }
}

impl<T: DeserializeOwned + Default> Body for OptionalJson<T> {
    fn read(body: &Read) -> Result<Self> {
        if body.bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        Json::read(body).map(|Json(value)| Self(value))
    }
}

impl Body for NoBody {
    fn read(_: &Read) -> Result<Self> {
        Ok(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        Self::read(&read(request).await?)
    }
}

/// Reads the body, up to the limit of its route.
///
/// # Errors
/// A problem if it is too long, too slow, compressed or cut off.
pub(crate) async fn read(request: Request) -> Result<Read> {
    let limit = request.extensions().get::<BodyLimit>().map_or(BODY_LIMIT, |limit| limit.0);
    let operation = Operation::of(request.method(), request.extensions());
    let is_json = text(request.headers(), &CONTENT_TYPE).is_some_and(is_json);
    let encoding = text(request.headers(), &CONTENT_ENCODING).unwrap_or("identity");
    if !encoding.trim().eq_ignore_ascii_case("identity") {
        return Err(Problem::UnsupportedMediaType("Send the body as it is, without `Content-Encoding`"));
    }
    let declared = text(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(Problem::TooLarge(limit));
    }
    let bytes = tokio::time::timeout(WHOLE, collect(request.into_body(), limit)).await;
    Ok(Read { bytes: bytes.unwrap_or(Err(Problem::SlowBody))?, is_json, operation })
}

async fn collect(mut body: axum::body::Body, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(PAUSE, body.frame()).await.map_err(|_| Problem::SlowBody)?;
        let Some(frame) = frame else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|_| Problem::Malformed("The body did not arrive whole".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        bytes.extend_from_slice(&data);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &axum::http::HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Parses a body. `schema` describes what is allowed.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], schema: Option<Schema>) -> Result<T> {
    if bytes.is_empty() {
        return Err(Problem::Malformed("There is no body, and JSON is needed".to_owned()));
    }
    let plain: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(bytes, &error))?;
    // derived deserializers accept a list of values in place of an object
    if let Some(steps) = schema.and_then(|schema| schema.no_object(&plain)) {
        let words = at(schema, &steps).map_or_else(|| "an object".to_owned(), Schema::words);
        return Err(Problem::field(expected::shown(&steps), format_args!("must be {words}, not a list")));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let steps = error.path().iter().map_while(step).collect();
        invalid(schema, steps, &error.into_inner().to_string())
    })
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { variant } => Some(Step::Field(variant.clone())),
        Segment::Unknown => None,
    }
}

/// Describes where a body stops being JSON, and the reason if it is known.
fn unreadable(bytes: &[u8], error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    let why = if std::str::from_utf8(bytes).is_err() {
        "it is not UTF-8"
    } else if error.is_eof() {
        "it ends before everything is closed"
    } else if said.contains("surrogate") || said.contains("hex escape") {
        "an escape is cut short, or half of a surrogate pair stands alone"
    } else if said.contains("control character") {
        "a control character in a text must be escaped, a line break as \\n"
    } else if said.contains("escape") {
        "there is no such escape"
    } else if said.contains("trailing characters") {
        "something follows its end"
    } else if said.contains("recursion") {
        "it is nested deeper than 128 levels"
    } else if said.contains("number") {
        "a number can't be read"
    } else {
        "something else was to stand there"
    };
    Problem::Malformed(format!("The body is not JSON: line {}, column {}: {why}", error.line(), error.column()))
}

fn at(schema: Option<Schema>, steps: &[Step]) -> Option<Schema> {
    steps.iter().try_fold(schema?, |schema, step| schema.inner(step))
}

/// Describes what is wrong at a place. Of the deserializer's message only the kind of error is used.
fn invalid(schema: Option<Schema>, mut steps: Vec<Step>, said: &str) -> Problem {
    let named = |start: &str| said.strip_prefix(start)?.split('`').next().map(|name| Step::Field(name.to_owned()));
    if let Some(missing) = named("missing field `") {
        steps.push(missing);
        let words = at(schema, &steps).map_or_else(String::new, |schema| format!(": {}", schema.words()));
        return Problem::field(expected::shown(&steps), format_args!("is required{words}"));
    }
    if let Some(twice) = named("duplicate field `") {
        if steps.last() != Some(&twice) {
            steps.push(twice);
        }
        return Problem::field(expected::shown(&steps), "is given twice");
    }
    if let Some(Step::Field(name)) = named("unknown field `") {
        steps.pop_if(|last| *last == Step::Field(name.clone()));
        let known = at(schema, &steps).map(Schema::fields).unwrap_or_default();
        steps.push(Step::Field(name.clone()));
        return Problem::field(expected::shown(&steps), unknown(&name, &known));
    }
    let meant = match (named("unknown variant `"), at(schema, &steps)) {
        (Some(Step::Field(name)), Some(schema)) => did_you_mean(&name, schema.words().split('`').skip(1).step_by(2)),
        _ => String::new(),
    };
    let message = match at(schema, &steps) {
        Some(schema) => format!("must be {}{meant}", schema.words()),
        None => "is not valid".to_owned(),
    };
    Problem::field(expected::shown(&steps), message)
}

fn unknown(name: &str, known: &[&str]) -> String {
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    let known_are = if names.is_empty() { String::new() } else { format!("; known are {}", names.join(", ")) };
    format!("is not known here{}{known_are}", did_you_mean(name, known.iter().copied()))
}

/// Ids in the path. A malformed id means "not found".
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

/// Parameters of the query string.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let said = rejection.body_text();
                let said = said.rsplit_once("query string: ").map_or(said.as_str(), |(_, said)| said);
                Err(invalid_parameter(&Operation::of(&parts.method, &parts.extensions), said))
            }
        }
    }
}

/// Describes what is wrong with a parameter. `said` is the deserializer's message, with the parameter's name if it is
/// known.
fn invalid_parameter(operation: &Operation, said: &str) -> Problem {
    let known = expected::parameters(&operation.method, &operation.path);
    if let Some(name) = said.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next()) {
        return Problem::field(name, unknown(name, &known));
    }
    if let Some(name) = said.split_once("duplicate field `").and_then(|(_, rest)| rest.split('`').next()) {
        return Problem::field(name, "is given twice");
    }
    let name = said.split(':').next().unwrap_or_default();
    match expected::parameter(&operation.method, &operation.path, name) {
        Some(schema) => Problem::field(name, format_args!("must be {}", schema.words())),
        None => Problem::field("query", "can't be read: write it as name=value&name=value"),
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
        match parse::<Outer>(json.as_bytes(), None) {
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
        assert_eq!(field_of(r#"{"name":"x","name":"y"}"#), "name");
        assert_eq!(field_of(r#"{"name":"x","inner":{}}"#), "inner.size");
        assert_eq!(field_of(r#"{"name":"x","inner":{"size":300}}"#), "inner.size");
        assert_eq!(field_of(r#"{"name":"x","inner":{"size":3,"colour":1}}"#), "inner.colour");
        assert_eq!(field_of("[]"), "body");
        assert!(field_of("{").starts_with("Malformed"));
        assert!(field_of(r#"{"name":"x"} tail"#).starts_with("Malformed"));
    }

    /// R78: a body that is not JSON is reported with the place and, if known, the reason.
    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (bytes, why) in [
            (&b"{\"name\""[..], "line 1, column 7: it ends before everything is closed"),
            (b"{\"name\":\"\xff\"}", "it is not UTF-8"),
            (b"{\"name\":\"\\ud83d\"}", "an escape is cut short, or half of a surrogate pair stands alone"),
            (b"{\"name\":\"a\nb\"}", "a control character in a text must be escaped, a line break as \\n"),
            (b"{\"name\":\"\\x\"}", "there is no such escape"),
            (b"{} {}", "something follows its end"),
            (b"{\"name\":1e999}", "a number can't be read"),
            (b"{\"name\":01}", "a number can't be read"),
            (b"{name:1}", "line 1, column 2: something else was to stand there"),
            (b"", "There is no body, and JSON is needed"),
        ] {
            let Err(Problem::Malformed(detail)) = parse::<Outer>(bytes, None) else { panic!("{why}") };
            assert!(detail.ends_with(why), "{detail}");
        }
    }

    /// R81: the longest texts fit, however they are escaped.
    #[test]
    fn limits_hold_the_longest_texts() {
        let text = "\\ud83d\\udc4b".repeat(MAX_TEXT);
        assert!(TEXT_BODY_LIMIT > text.len() + 1024);
        assert!(LONG_BODY_LIMIT > 10 * text.len() + 500 * 66);
    }
}
