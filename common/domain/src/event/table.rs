//! Pure. The registry as a page for people: `docs/events.md` is printed from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Kind, schema};

const HEAD: &str = "# Events

Printed from `common/domain/src/event`. A test fails if the two differ (`UPDATE=1` prints it anew). Live streams (`GET /v1/events`) and
webhooks deliver each event in the same form, as one JSON object:

```json
{\"id\": \"7421-93\", \"kind\": \"account.status_changed\", \"account_id\": \"0199c0de-…\", \"data\": {…}, \"created_at\": \"2026-11-28T09:00:00Z\"}
```

`id` is the event's position: a stream with this `Last-Event-ID` continues after it. `account_id` is null if the event belongs to no
account. `data` depends on the kind and always has the fields below. A field that has nothing to say is null. Any release may add kinds
and fields: ignore those that you do not know. A webhook gets the kinds that it names, or all. A test sends it `webhook.test`, with
`webhook_id`.
";

/// The whole file.
#[must_use]
pub fn markdown() -> String {
    let mut found = Vec::new();
    schema::all(&mut found);
    let schemas: BTreeMap<String, Value> =
        found.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect();
    let mut text = HEAD.to_owned();
    for kind in Kind::ALL {
        let _ = write!(text, "\n## `{}`\n{}\n\n", kind.as_str(), kind.about());
        text.push_str("| field | type | what it says |\n| --- | --- | --- |\n");
        let fields = schemas.get(&kind.payload_name()).and_then(|schema| schema["properties"].as_object());
        for (name, field) in fields.into_iter().flatten() {
            let about = words(field).unwrap_or_default().replace('\n', " ");
            let _ = writeln!(text, "| `{name}` | {} | {about} |", class(field, &schemas));
        }
    }
    text
}

fn words(field: &Value) -> Option<&str> {
    let own = field["description"].as_str();
    own.or_else(|| field["oneOf"].as_array()?.iter().find_map(|choice| choice["description"].as_str()))
}

/// What a field may be, in words.
fn class(field: &Value, schemas: &BTreeMap<String, Value>) -> String {
    if let Some(choices) = field["oneOf"].as_array() {
        return choices.iter().map(|choice| class(choice, schemas)).collect::<Vec<_>>().join(" or ");
    }
    if let Some(name) = field["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return schemas.get(name).map(|schema| class(schema, schemas)).unwrap_or_default();
    }
    if let Some(values) = field["enum"].as_array() {
        return values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let of = |class: &Value| match (class.as_str().unwrap_or_default(), field["format"].as_str()) {
        ("string", Some("date-time")) => "instant".to_owned(),
        ("string", Some(format)) => format.to_owned(),
        ("string", None) => "text".to_owned(),
        (class, _) => class.to_owned(),
    };
    match &field["type"] {
        Value::Array(classes) => classes.iter().map(of).collect::<Vec<_>>().join(" or "),
        class => of(class),
    }
}
