//! The preview: when a reminder would fire.

use axum::Json;
use chrono::{DateTime, Utc};
use schedule::{Edge, OnGap, Recurrence, Spec};
use serde::Deserialize;
use store::reminders;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::extract;
use crate::problem::{Problem, Result};
use crate::wire::preview::Preview;

/// The highest number of occurrences in an answer.
const COUNT_MAX: usize = 50;

/// The part of a reminder that says when it fires.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewWish, example = json!({"start": "2027-01-04T09:00", "timezone": "Europe/Berlin",
    "recurrence": {"kind": "weekly", "weekdays": ["mon", "thu"]}, "exdates": ["2027-01-07"], "count": 3}))]
pub struct Wish {
    // described at the fields of the reminder that have the same names
    start: String,
    timezone: String,
    recurrence: Option<Recurrence>,
    rrule: Option<String>,
    #[serde(default)]
    exdates: Vec<String>,
    #[serde(default)]
    on_gap: OnGap,
    window_start: Option<Edge>,
    window_end: Option<Edge>,
    /// The number of occurrences: 1 to 50. The default is 5.
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
        Ok(Preview::from(spec.check(now, count)?))
    }
}

/// Preview a schedule
///
/// Returns the next occurrences of a reminder without creating it, and how changes of clocks affect them. A schedule
/// that would be refused when creating the reminder is refused here with the same words.
#[utoipa::path(post, path = "/v1/reminders/preview", operation_id = "preview_reminder",
    tag = "Reminders", request_body = Wish,
    responses((status = 200, body = Preview)))]
pub async fn preview(caller: Caller, extract::Json(wish): extract::Json<Wish>) -> Result<Json<Preview>> {
    Ok(Json(wish.answer(reminders::now(caller.of()).await?)?))
}
