//! When a reminder would fire, before there is one.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use common::reminder::occurrence::{Clocks, Occurrence};
use common::reminder::{Accepted, Edge, OnGap, Recurrence, Spec, summary};
use common::store::reminders;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract;
use crate::problem::{Problem, Result};
use crate::wire::preview::{Firing, Preview};

/// Most occurrences of an answer.
const COUNT_MAX: usize = 50;

/// The part of a reminder that says when it fires.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewWish, example = json!({"start": "2027-01-04T09:00", "timezone": "Europe/Berlin",
    "recurrence": {"kind": "weekly", "weekdays": ["mon", "thu"]}, "exdates": ["2027-01-07"], "count": 3}))]
pub struct Wish {
    /// When it fires first: wall-clock time in `timezone`, or an instant with an offset.
    #[schema(example = "2027-01-04T09:00", min_length = 1, max_length = 64)]
    start: String,
    /// An IANA zone.
    #[schema(example = "Europe/Berlin", min_length = 1, max_length = 64)]
    timezone: String,
    /// What it repeats on. Neither this nor `rrule`: it fires once.
    recurrence: Option<Recurrence>,
    /// The same as an RRULE of RFC 5545, alone or in a block whose DTSTART says what `start` and `timezone` say.
    #[schema(example = "FREQ=WEEKLY;BYDAY=MO,TH", max_length = 1000)]
    rrule: Option<String>,
    /// What the rule leaves out: dates and times.
    #[serde(default)]
    #[schema(max_items = 500)]
    exdates: Vec<String>,
    /// What becomes of a time that clocks skip.
    #[serde(default)]
    on_gap: OnGap,
    /// From when on it may send, of a day in `timezone`: an hour, or a time such as `"08:30"`.
    window_start: Option<Edge>,
    /// Until when: an hour from 1 to 24, or a time such as `"18:30"`; no later than `window_start`: of the next day.
    window_end: Option<Edge>,
    /// How many occurrences: 1 to 50; 5 if not given.
    #[schema(example = 5, minimum = 1, maximum = 50)]
    count: Option<usize>,
}

impl Wish {
    fn answer(&self, now: DateTime<Utc>) -> Result<Preview> {
        let count = self.count.unwrap_or(5);
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(Problem::field("count", format_args!("must be 1 to {COUNT_MAX}")));
        }
        let spec = Spec {
            start: &self.start,
            timezone: &self.timezone,
            recurrence: self.recurrence.as_ref(),
            rrule: self.rrule.as_deref(),
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window_start: self.window_start.as_ref(),
            window_end: self.window_end.as_ref(),
        };
        let accepted = spec.check(now, count)?;
        let occurrences = accepted.following.occurrences.iter();
        Ok(Preview {
            summary: summary::of_stored(accepted.rrule.as_deref(), &accepted.times),
            recurrence: Recurrence::from_stored(accepted.rrule.as_deref(), &accepted.times),
            occurrences: occurrences.map(|occurrence| firing(&accepted, *occurrence)).collect(),
            skipped: accepted.following.skipped,
            rrule: accepted.rrule.filter(|_| accepted.times.is_empty()),
        })
    }
}

fn firing(accepted: &Accepted, Occurrence { at, nominal, clocks }: Occurrence) -> Firing {
    Firing {
        at,
        local: at.with_timezone(&accepted.tz).fixed_offset(),
        clocks,
        nominal: Some(nominal).filter(|_| clocks == Some(Clocks::Shifted)),
        window_closes_at: accepted.window.map(|window| window.closes_at(accepted.tz, at)),
    }
}

/// Preview a schedule
///
/// The next occurrences of a reminder that does not exist yet, and what clocks do to them where they change. What would be
/// refused when creating it is refused here with the same words.
#[utoipa::path(post, path = "/v1/reminders/preview", operation_id = "preview_reminder",
    tag = "Reminders", request_body = Wish,
    responses((status = 200, body = Preview)))]
pub async fn preview(
    State(context): State<Context>,
    _caller: Caller,
    extract::Json(wish): extract::Json<Wish>,
) -> Result<Json<Preview>> {
    Ok(Json(wish.answer(reminders::now(&context.db).await?)?))
}
