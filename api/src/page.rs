//! Pages of lists: a limit, an opaque cursor, and whether there is more.

use chrono::{DateTime, Datelike as _, TimeDelta, TimeZone as _, Utc};
use process::clock;

use serde::Serialize;
use store::page::Listed;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::{Problem, Result};

/// The number of items on a page, unless the client sets it.
const DEFAULT_LIMIT: i64 = 50;
/// How far the database's clock may be ahead of ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// The highest number of items on a page.
const MAX_LIMIT: i64 = 200;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Give this as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// On an empty page: the filters that left nothing, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "nothing with status=paused")]
    pub empty: Option<String>,
}

/// The number of items that a client asked for.
///
/// # Errors
/// A problem that names `limit`.
pub fn limit(asked: Option<i64>) -> Result<i64> {
    match asked {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(_) => Err(Problem::field("limit", format!("must be 1 to {MAX_LIMIT}"))),
    }
}

impl<T> Page<T> {
    /// A page from up to `limit + 1` rows. An extra row means that there are more.
    pub fn cut<R>(mut rows: Vec<R>, limit: i64, cursor: impl Fn(&R) -> String, show: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { data: rows.into_iter().map(show).collect(), next_cursor, empty: None }
    }

    /// A page from a list that the store has cut.
    pub fn of<R, C>(listed: Listed<R, C>, cursor: impl Fn(C) -> String, show: impl Fn(R) -> T) -> Self {
        Self { data: listed.rows.into_iter().map(show).collect(), next_cursor: listed.next.map(cursor), empty: None }
    }

    /// Adds to an empty page which of these filters were set.
    #[must_use]
    pub fn say_if_empty(mut self, filters: &[(&str, Option<String>)]) -> Self {
        let given = filters.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let given: Vec<_> = given.collect();
        if self.data.is_empty() && !given.is_empty() {
            self.empty = Some(format!("nothing with {}", given.join(" and ")));
        }
        self
    }
}

/// Checks that an instant from a client is in the years 0 to 9999, which databases and clients can write.
///
/// # Errors
/// A problem that names `field`.
pub fn instant(field: &str, asked: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>> {
    match asked {
        Some(at) if !is_common(at) => Err(Problem::field(field, "must lie between the years 0 and 9999")),
        asked => Ok(asked),
    }
}

fn is_common(at: DateTime<Utc>) -> bool {
    (0..=9999).contains(&at.year())
}

/// A cursor for lists in order of time and id.
pub fn time_cursor(at: DateTime<Utc>, id: Uuid) -> String {
    format!("{:x}-{}", at.timestamp_micros(), id.simple())
}

/// Parses a [`time_cursor`].
///
/// # Errors
/// A problem that names `cursor`.
pub fn read_time_cursor(text: Option<&str>) -> Result<Option<(DateTime<Utc>, Uuid)>> {
    let Some(text) = text else { return Ok(None) };
    let read = || {
        let (at, id) = text.split_once('-')?;
        let at = Utc.timestamp_micros(i64::from_str_radix(at, 16).ok()?).single().filter(|at| is_common(*at))?;
        Some((at, Uuid::try_parse(id).ok()?))
    };
    match read() {
        None => Err(no_cursor()),
        Some((at, _)) if at > clock::now() + SKEW => Err(ahead()),
        read => Ok(read),
    }
}

/// Parses a numeric cursor. `newest` returns the number of the list's newest item. A greater number was not given out
/// by this list, for example because the database was replaced by an older copy.
///
/// # Errors
/// A problem that names `cursor`, or an error of the database.
pub async fn number_cursor(
    text: Option<&str>,
    newest: impl Future<Output = store::Result<Option<i64>>>,
) -> Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().filter(|number| *number > 0).ok_or_else(no_cursor)?;
    match newest.await? {
        Some(newest) if number > newest => Err(ahead()),
        _ => Ok(Some(number)),
    }
}

/// Checks a cursor that is a plain word. Words that no database can look up are refused.
///
/// # Errors
/// A problem that names `cursor`.
pub fn plain(text: &str) -> Result<&str> {
    let plain = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(text) } else { Err(no_cursor()) }
}

fn ahead() -> Problem {
    Problem::field("cursor", "lies in the future")
}

fn no_cursor() -> Problem {
    Problem::field("cursor", "is not a cursor that this list gave out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_to_the_microsecond() {
        let at = Utc.timestamp_micros(1_763_683_200_123_456).single().unwrap_or_default();
        let id = Uuid::from_u128(7);
        assert_eq!(read_time_cursor(Some(&time_cursor(at, id))), Ok(Some((at, id))));
        assert_eq!(read_time_cursor(None), Ok(None));
        let ahead = time_cursor(clock::now() + TimeDelta::minutes(6), id);
        assert_eq!(read_time_cursor(Some(&ahead)), Err(Problem::field("cursor", "lies in the future")));
        for text in ["", "x", "12", "zz-7", "12-zz", "-12-7", "7000000000000000-00000000000000000000000000000007"] {
            assert!(read_time_cursor(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_has_a_year_of_four_digits() {
        for (text, ok) in [
            ("0000-01-01T00:00:00Z", true),
            ("9999-12-31T23:59:59Z", true),
            ("-0001-12-31T23:59:59Z", false),
            ("+10000-01-01T00:00:00Z", false),
        ] {
            let at = Some(text.parse().unwrap_or_default());
            let no = Problem::field("since", "must lie between the years 0 and 9999");
            assert_eq!(instant("since", at), if ok { Ok(at) } else { Err(no) }, "{text}");
        }
        assert_eq!(instant("since", None), Ok(None));
    }

    #[test]
    fn the_surplus_item_tells_that_there_is_more() {
        let page = Page::cut(vec![1, 2, 3], 2, ToString::to_string, |n| n);
        assert_eq!((page.data, page.next_cursor.as_deref()), (vec![1, 2], Some("2")));
        let page = Page::cut(vec![1, 2], 2, ToString::to_string, |n| n);
        assert_eq!((page.data, page.next_cursor), (vec![1, 2], None));
    }

    #[test]
    fn an_empty_page_says_which_filter_was_empty() {
        let filters = [("status", Some("paused".to_owned())), ("account_id", None), ("since", Some("2027".to_owned()))];
        let page = |rows| Page::cut(rows, 2, ToString::to_string, |n: i32| n);
        assert_eq!(
            page(vec![]).say_if_empty(&filters).empty.as_deref(),
            Some("nothing with status=paused and since=2027")
        );
        assert_eq!(page(vec![1]).say_if_empty(&filters).empty, None);
        assert_eq!(page(vec![]).say_if_empty(&[("status", None)]).empty, None);
    }
}
