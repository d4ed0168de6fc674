//! The table of problems. `docs/problems.md` is printed from it, and the OpenAPI document lists the types.

use std::fmt::Write as _;

use axum::http::StatusCode;
use domain::conflict::Conflict;

use strum::EnumCount as _;

use super::{FieldError, Problem, TYPE};

const HEAD: &str = "# Problems

Printed from `api/src/problem` and `common/domain/src/conflict.rs`; a test fails when they differ (`UPDATE=1` prints it anew). Every error
answer is `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). Its `type` is `urn:switchboard:problem:` and a
name of this table: programs go by it. `title` is the same for all problems of one type; `detail` is about this one, for people, and
its words may change.

| status | type | title | detail, for example |
| --- | --- | --- | --- |
";

/// A type of problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// The last part of its `type`.
    pub slug: &'static str,
    /// Its title.
    pub title: &'static str,
    /// An example of a detail.
    pub detail: Option<String>,
}

/// All types, by status.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for problem in examples().into_iter().chain(Conflict::examples().map(Problem::Conflict)) {
        let (status, slug, title) = problem.row();
        if !kinds.iter().any(|kind| kind.slug == slug) {
            kinds.push(Kind { status, slug, title, detail: problem.detail() });
        }
    }
    kinds.sort_by_key(|kind| kind.status.as_u16());
    kinds
}

/// The content of `docs/problems.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for Kind { status, slug, title, detail } in kinds() {
        let status = status.as_u16();
        let _ = writeln!(text, "| {status} | `{slug}` | {title} | {} |", detail.unwrap_or_default());
    }
    text.replace("|  |", "| |")
}

/// The description of `type` in the OpenAPI document.
pub(crate) fn words() -> String {
    let names: Vec<_> = kinds().iter().map(|kind| format!("`{}` ({})", kind.slug, kind.status.as_u16())).collect();
    format!("Which problem, for programs: `{TYPE}` and one of {}.", names.join(", "))
}

/// One example of each problem.
fn examples() -> [Problem; Problem::COUNT] {
    [
        Problem::Malformed("There is no body, and JSON is needed".to_owned()),
        Problem::Invalid(Vec::new()),
        Problem::Unauthorized,
        Problem::Forbidden("This is for admins: use an admin key"),
        Problem::NotFound,
        Problem::NoSuch(FieldError { field: String::new(), message: String::new() }),
        Problem::MethodNotAllowed,
        Problem::Conflict(Conflict::AlreadyConnected),
        store::Error::Changed(2).into(),
        Problem::Gone { oldest: "7421-93".to_owned() },
        Problem::KeyReused,
        Problem::NoCode("No pairing is under way: a phone is linked and connected".to_owned()),
        Problem::TooLarge(65_536),
        Problem::SlowBody,
        Problem::UnsupportedMediaType("Send `Content-Type: application/json`"),
        Problem::NotAcceptable("There are image/png, text/plain and application/json"),
        Problem::TooMany("This tenant has too many open streams"),
        Problem::Timeout,
        Problem::Unavailable,
        Problem::Internal,
    ]
}
