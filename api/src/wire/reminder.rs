//! A reminder, as it is answered.

use chrono::{DateTime, Utc};
use domain::id::{AccountId, ReminderId};
use domain::reminder::{Misfire, Overlap};
use schedule::{Edge, OnGap, Recurrence, Shown, Start, Window, timezone};
use serde::Serialize;
use store::reminders::{self, Status};
use utoipa::ToSchema;

/// A reminder. It can be sent back as it is, whole or changed.
#[derive(Serialize, ToSchema)]
pub struct Reminder {
    /// Its id.
    pub id: ReminderId,
    /// The account that sends it.
    pub account_id: AccountId,
    /// What people call it.
    pub name: String,
    /// How far it is.
    pub status: Status,
    /// The texts, in order.
    pub messages: Vec<String>,
    /// The chats' addresses, in order.
    pub targets: Vec<String>,
    /// Its start on the zone's clocks; with an offset where they show it twice and the later time is meant.
    #[schema(example = "2027-01-04T09:00:00")]
    pub start: String,
    /// The IANA zone in which it is meant.
    pub timezone: String,
    /// What it repeats on; null when only an RRULE can say it.
    pub recurrence: Option<Recurrence>,
    /// The same as an RRULE; null: it fires once, or no rule says its `times`.
    pub rrule: Option<String>,
    /// The same in words.
    #[schema(example = "Every 2 weeks on Mon, Thu until 2027-12-31")]
    pub summary: String,
    /// What the rule leaves out.
    pub exdates: Vec<String>,
    /// What becomes of times that clocks skip.
    pub on_gap: OnGap,
    /// From when on it may send, of a day; null: from midnight.
    pub window_start: Option<Edge>,
    /// Until when.
    pub window_end: Option<Edge>,
    /// What becomes of late occurrences.
    pub misfire: Misfire,
    /// How late an occurrence may still fire, in seconds; what has fired is sent until `window_end`, if there is one.
    pub catchup_window_s: i32,
    /// What becomes of an occurrence while the run before is in progress.
    pub overlap: Overlap,
    /// Raised by each edit.
    pub version: i32,
    /// When it fires next; null when it does not.
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
