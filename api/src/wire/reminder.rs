//! Reminders in answers of the API.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, ReminderId};
use domain::reminder::{Misfire, Overlap};
use schedule::{Edge, OnGap, Recurrence, Shown, Start, Window, timezone};
use serde::Serialize;
use store::reminders::{self, Status};
use utoipa::ToSchema;

/// A reminder. It can be sent back as it is, or changed.
#[derive(Serialize, ToSchema)]
pub struct Reminder {
    /// Its id.
    pub id: ReminderId,
    /// The account that sends it.
    pub account_id: AccountId,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// The texts, in order.
    pub messages: Vec<String>,
    /// The chats' addresses, in order.
    pub targets: Vec<String>,
    /// Its start, as wall-clock time of the zone. It has an offset if clocks show that time twice and the later one is
    /// meant.
    #[schema(example = "2027-01-04T09:00:00")]
    pub start: String,
    /// Its time zone, by its IANA name.
    pub timezone: String,
    /// How it repeats; null if only an RRULE can express it.
    pub recurrence: Option<Recurrence>,
    /// How it repeats, as an RRULE; null if it fires once, or if no rule can express its `times`.
    pub rrule: Option<String>,
    /// How it repeats, in words.
    #[schema(example = "Every 2 weeks on Mon, Thu until 2027-12-31")]
    pub summary: String,
    /// The exceptions from the rule.
    pub exdates: Vec<String>,
    /// What happens at times that clocks skip.
    pub on_gap: OnGap,
    /// The time of day from which on it may send; null means from midnight.
    pub window_start: Option<Edge>,
    /// The time of day until which it may send; null if there is no limit.
    pub window_end: Option<Edge>,
    /// What happens to late occurrences.
    pub misfire: Misfire,
    /// How late an occurrence may still fire, in seconds; what has fired is sent until `window_end`, if there is one.
    pub catchup_window_s: i32,
    /// What happens to an occurrence while the previous run is in progress.
    pub overlap: Overlap,
    /// Its version, which each edit raises.
    pub version: i32,
    /// When it fires next; null if it does not.
    pub next_fire_at: Option<DateTime<Utc>>,
    /// When it last fired.
    pub last_fired_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<reminders::Reminder> for Reminder {
    fn from(row: reminders::Reminder) -> Self {
        let (window_start, window_end) = row.window().map(Window::edges).unzip();
        let start = match timezone(&row.timezone) {
            Ok(tz) => Start::stored_as(row.start_local, row.start_later, tz).text(tz),
            Err(_) => row.start_local.format("%Y-%m-%dT%H:%M:%S").to_string(),
        };
        let Shown { summary, recurrence, rrule } = Shown::of(row.rrule.as_deref(), &row.times);
        Self {
            id: row.id,
            account_id: row.account_id,
            name: row.name,
            status: row.status,
            messages: row.messages,
            targets: row.targets,
            start,
            timezone: row.timezone,
            recurrence,
            summary,
            rrule,
            exdates: row.exdates,
            on_gap: row.on_gap,
            window_start: window_start.flatten(),
            window_end,
            misfire: row.misfire,
            catchup_window_s: row.catchup_window_s,
            overlap: row.overlap,
            version: row.version,
            next_fire_at: row.next_fire_at,
            last_fired_at: row.last_fired_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
