//! The version of a reminder: `ETag` of an answer, `If-Match` of an edit.

use axum::http::{HeaderMap, HeaderName, header};

use store::reminders;

use crate::problem::{Problem, Result};

/// The `ETag` of an answer, for `If-Match` of an edit.
pub fn tag(reminder: &reminders::Reminder) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", reminder.version))]
}

/// The version that `If-Match` asks for; `None` if any version will do.
///
/// # Errors
/// If the reminder has another version, or the header is malformed.
pub fn expected(headers: &HeaderMap, reminder: &reminders::Reminder) -> Result<Option<i32>> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| Problem::field("If-Match", "must be ETags such as \"3\""))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
    }
    let own = format!("\"{}\"", reminder.version);
    if tags.is_empty() || tags.iter().any(|tag| tag == "*") {
        Ok(None)
    } else if tags.contains(&own) {
        Ok(Some(reminder.version))
    } else {
        Err(store::Error::Changed(reminder.version).into())
    }
}
