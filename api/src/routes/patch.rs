//! Changing single fields of a reminder: a JSON merge patch (RFC 7396) of what can be set.

use serde_json::{Map, Value};

use crate::extract;
use crate::openapi::expected;
use crate::problem::{Problem, Result};
use crate::routes::wish::Wish;
use crate::wire::reminder::Reminder;

/// The fields of a reminder after these changes.
///
/// # Errors
/// If the patch is not an object, or the result does not have the form of a reminder.
pub fn wish(reminder: Reminder, changes: &Value) -> Result<Wish> {
    let Value::Object(changes) = changes else { return Err(Problem::field("body", "must be a JSON object")) };
    let Ok(Value::Object(mut whole)) = serde_json::to_value(reminder) else {
        return Err(Problem::internal(&"a reminder is no object"));
    };
    // only one of the two says how it repeats
    for (given, other) in [("recurrence", "rrule"), ("rrule", "recurrence")] {
        if changes.contains_key(given) && !changes.contains_key(other) {
            whole.remove(other);
        }
    }
    merge(&mut whole, changes);
    let bytes = serde_json::to_vec(&whole).map_err(|error| Problem::internal(&error))?;
    extract::parse(&bytes, expected::body("PUT", "/v1/reminders/{reminder}"))
}

/// Merges a patch into an object (RFC 7396, section 2).
fn merge(target: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match change {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(change) => {
                let mut inner = match target.remove(name) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                merge(&mut inner, change);
                target.insert(name.clone(), Value::Object(inner));
            }
            value => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// R88: the examples of RFC 7396, appendix A, whose target and patch are objects.
    #[test]
    fn patches_are_merged_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.as_object().unwrap().clone();
            merge(&mut merged, patch.as_object().unwrap());
            assert_eq!(Value::Object(merged), result, "{target} {patch}");
        }
    }
}
