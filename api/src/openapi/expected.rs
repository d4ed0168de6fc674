//! What a field may be, in the words of JSON: read from the OpenAPI document, so that an error says what the description says.

use std::sync::OnceLock;

use serde_json::Value;
use utoipa::openapi::OpenApi;

static DOCUMENT: OnceLock<Value> = OnceLock::new();

/// Learns the document. It is handed in, since its operations come from the routes, which use this.
pub fn learn(document: &OpenApi) {
    DOCUMENT.get_or_init(|| serde_json::to_value(document).unwrap_or_default());
}

fn document() -> &'static Value {
    let known = DOCUMENT.get();
    debug_assert!(known.is_some(), "whoever serves requests has to hand the document in before");
    known.unwrap_or(&Value::Null)
}

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema(&'static Value);

/// The schema of an operation's body.
pub fn body(method: &str, path: &str) -> Option<Schema> {
    let operation = document()["paths"].get(path)?.get(method.to_lowercase())?;
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    (!schema.is_null()).then(|| Schema(schema).resolved())
}

/// The schema of a parameter of an operation's query.
pub fn parameter(method: &str, path: &str, name: &str) -> Option<Schema> {
    let operation = document()["paths"].get(path)?.get(method.to_lowercase())?;
    let parameters = operation["parameters"].as_array()?;
    let found = parameters.iter().find(|one| one["in"] == "query" && one["name"] == name)?;
    Some(Schema(&found["schema"]).resolved())
}

/// The names of an operation's parameters in the query.
pub fn parameters(method: &str, path: &str) -> Vec<&'static str> {
    let operation = document()["paths"].get(path).and_then(|item| item.get(method.to_lowercase()));
    let parameters = operation.and_then(|operation| operation["parameters"].as_array());
    let of_query = parameters.into_iter().flatten().filter(|one| one["in"] == "query");
    of_query.filter_map(|one| one["name"].as_str()).collect()
}

impl Schema {
    fn get(self, word: &str) -> Option<&'static Value> {
        self.0.get(word)
    }

    /// Follows references, and past a choice of something and null.
    fn resolved(self) -> Self {
        if let Some(name) = self.get("$ref").and_then(Value::as_str)
            && let Some(schema) = document().pointer(name.trim_start_matches('#'))
        {
            return Self(schema).resolved();
        }
        let choices: Vec<_> = self.choices().filter(|choice| !choice.is("null")).collect();
        match choices[..] {
            [only] => only.resolved(),
            _ => self,
        }
    }

    fn choices(self) -> impl Iterator<Item = Self> {
        ["oneOf", "anyOf"].into_iter().filter_map(move |word| self.get(word)?.as_array()).flatten().map(Self)
    }

    /// Whether a type is among those that it names.
    fn is(self, kind: &str) -> bool {
        match self.get("type") {
            Some(Value::String(one)) => one == kind,
            Some(Value::Array(several)) => several.iter().any(|one| one == kind),
            _ => false,
        }
    }

    /// A field of an object, an item of a list.
    pub fn inner(self, step: &Step) -> Option<Self> {
        let found = match step {
            Step::Field(name) => self.get("properties").and_then(|fields| fields.get(name)),
            Step::Item(_) => self.get("items"),
        };
        let of_choices = || self.choices().find_map(|choice| choice.resolved().inner(step));
        found.map(|schema| Self(schema).resolved()).or_else(of_choices)
    }

    /// The names of an object's fields.
    pub fn fields(self) -> Vec<&'static str> {
        let own = self.get("properties").and_then(Value::as_object).into_iter().flat_map(|fields| fields.keys());
        own.map(String::as_str).chain(self.choices().flat_map(|choice| choice.resolved().fields())).collect()
    }

    /// Where in `value` a list, or something else, stands for an object.
    pub fn no_object(self, value: &Value) -> Option<Vec<Step>> {
        match value {
            Value::Object(fields) => fields.iter().find_map(|(name, value)| {
                let step = Step::Field(name.clone());
                prefixed(self.inner(&step)?.no_object(value), step)
            }),
            Value::Array(items) if self.is("array") => items.iter().enumerate().find_map(|(place, value)| {
                let step = Step::Item(place);
                prefixed(self.inner(&step)?.no_object(value), step)
            }),
            Value::Array(_) if self.is("object") || self.choices().any(|choice| choice.resolved().is("object")) => {
                Some(Vec::new())
            }
            _ => None,
        }
    }

    /// What a value of this is, such as `a text of 1 to 100 characters, such as "Sales"`.
    pub fn words(self) -> String {
        let example = self.get("example").or_else(|| self.get("examples")?.get(0));
        let plain = self.kind();
        match example.filter(|example| example.is_string() && !plain.contains("such as") && !plain.contains("one of")) {
            Some(example) => format!("{plain}, such as {example}"),
            None => plain,
        }
    }

    fn kind(self) -> String {
        if let Some(words) = self.get("enum").and_then(Value::as_array) {
            let words: Vec<_> = words
                .iter()
                .filter(|word| !word.is_null())
                .map(|word| format!("`{}`", word.as_str().unwrap_or_default()))
                .collect();
            return if let [only] = &words[..] { only.clone() } else { format!("one of {}", words.join(", ")) };
        }
        let number = |word: &str| self.get(word).and_then(Value::as_i64);
        let choices: Vec<_> = self.choices().map(|choice| choice.resolved().words()).collect();
        if !choices.is_empty() {
            return choices.join(", or ");
        }
        match self.get("format").and_then(Value::as_str) {
            Some("uuid") => return "an id, such as \"0199c0de-0000-7000-8000-000000000000\"".to_owned(),
            Some("date-time") => return "a date and time with its offset, such as \"2027-01-04T09:00:00Z\"".to_owned(),
            Some("date") => return "a date, such as \"2027-01-04\"".to_owned(),
            _ => {}
        }
        let range = |low: Option<i64>, high: Option<i64>, what: &str| match (low, high) {
            (Some(low), Some(high)) => format!(" of {low} to {high} {what}"),
            (_, Some(high)) => format!(" of up to {high} {what}"),
            _ => String::new(),
        };
        if self.is("string") {
            format!("a text{}", range(number("minLength"), number("maxLength"), "characters"))
        } else if self.is("integer") {
            match (number("minimum"), number("maximum")) {
                (Some(low), Some(high)) => format!("a whole number from {low} to {high}"),
                _ => "a whole number".to_owned(),
            }
        } else if self.is("number") {
            "a number".to_owned()
        } else if self.is("boolean") {
            "`true` or `false`".to_owned()
        } else if self.is("array") {
            format!("a list{}", range(number("minItems"), number("maxItems"), "items"))
        } else {
            match self.fields()[..] {
                [only] => format!("an object with the field `{only}`"),
                _ => "an object".to_owned(),
            }
        }
    }
}

fn prefixed(found: Option<Vec<Step>>, step: Step) -> Option<Vec<Step>> {
    found.map(|mut steps| {
        steps.insert(0, step);
        steps
    })
}

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Field(String),
    /// Into a list.
    Item(usize),
}

/// The way as it is shown: `targets[1]`, `recurrence.kind`; the whole is `body`.
pub fn shown(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Item(place) => text.push_str(&format!("[{place}]")),
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.push_str(&format!(".{name}")),
        }
    }
    if text.is_empty() { "body".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(method: &str, path: &str, way: &[&str]) -> String {
        learn(crate::document());
        let steps = way.iter().map(|step| step.parse().map_or_else(|_| Step::Field((*step).to_owned()), Step::Item));
        let schema = steps
            .into_iter()
            .try_fold(body(method, path).unwrap_or_else(|| panic!("no body")), |schema, step| schema.inner(&step));
        schema.map(Schema::words).unwrap_or_default()
    }

    /// R78: what is expected is said in the words of JSON, with what a good value looks like.
    #[test]
    fn what_is_expected_is_said() {
        for (method, path, way, expected) in [
            ("POST", "/v1/accounts", vec![], "an object with the field `label`"),
            ("POST", "/v1/accounts", vec!["label"], "a text of 1 to 100 characters, such as \"Sales, front desk\""),
            (
                "POST",
                "/v1/accounts/{account}/messages",
                vec!["expires_at"],
                "a date and time with its offset, such as \"2027-01-04T09:00:00Z\"",
            ),
            ("POST", "/v1/accounts/{account}/pair", vec!["method"], "one of `qr`, `code`"),
            ("POST", "/v1/webhooks", vec!["kinds"], "a list of up to 50 items"),
            ("PATCH", "/v1/webhooks/{webhook}", vec!["enabled"], "`true` or `false`"),
            ("POST", "/v1/reminders", vec!["account_id"], "an id, such as \"0199c0de-0000-7000-8000-000000000000\""),
            ("POST", "/v1/reminders", vec!["catchup_window_s"], "a whole number from 60 to 86400"),
            ("POST", "/v1/reminders", vec!["targets", "3"], "a text of up to 64 characters"),
            ("POST", "/v1/reminders", vec!["recurrence", "end", "until"], "a date, such as \"2027-01-04\""),
            (
                "POST",
                "/v1/reminders",
                vec!["recurrence", "kind"],
                "one of `none`, `daily`, `weekly`, `monthly`, `yearly`",
            ),
        ] {
            assert_eq!(words(method, path, &way), expected, "{path} {way:?}");
        }
    }
}
