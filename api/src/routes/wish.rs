//! The reminder that a request asks for, and its check.

use std::collections::HashSet;

use domain::account::name;
use domain::id::AccountId;
use domain::jid::Jid;
use domain::message::check_text;
use domain::reminder::{Misfire, Overlap, catch_up};
use schedule::{Accepted, Edge, OnGap, Recurrence, Spec};
use serde::Deserialize;
use serde::de::IgnoredAny;
use store::reminders::Plan;
use utoipa::ToSchema;

use crate::problem::{FieldError, Problem, Result};

/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// The highest number of texts of a reminder.
const MAX_MESSAGES: usize = 10;
/// The highest number of chats of a reminder.
const MAX_TARGETS: usize = 500;
/// The highest number of bytes of all texts of one firing. Each text counts once for each chat.
const MAX_FIRING: usize = 16 * 1024 * 1024;

/// The fields of a reminder that can be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"account_id": "0199c0de-0000-7000-8000-000000000000", "name": "Weekly stand-up",
    "messages": ["Stand-up in ten minutes."], "targets": ["120363041234567890@g.us"], "start": "2027-01-04T09:00",
    "timezone": "Europe/Berlin", "recurrence": {"kind": "weekly", "weekdays": ["mon", "thu"]}, "window_end": 18}))]
pub struct Wish {
    /// The account that sends it.
    account_id: AccountId,
    /// The name: 1 to 200 characters.
    #[schema(example = "Weekly stand-up", min_length = 1, max_length = 200)]
    name: String,
    /// The texts: 1 to 10. Each target gets them one after the other, in this order. All texts for all targets together
    /// may have 16 MiB.
    #[schema(example = json!(["Stand-up in ten minutes."]), min_items = 1, max_items = 10)]
    messages: Vec<String>,
    /// The chats, in order: 1 to 500 groups or people, written as `to` of a message.
    #[schema(example = json!(["120363041234567890@g.us"]), min_items = 1, max_items = 500)]
    targets: Vec<String>,
    /// When it begins: wall-clock time in `timezone`, or an instant with an offset. A recurring reminder may have begun
    /// long ago; it fires from now on.
    #[schema(example = "2027-01-04T09:00", min_length = 1, max_length = 64)]
    start: String,
    /// The time zone, by its IANA name.
    #[schema(example = "Europe/Berlin", min_length = 1, max_length = 64)]
    timezone: String,
    /// How it repeats. Without this and without `rrule`, it fires once.
    recurrence: Option<Recurrence>,
    /// How it repeats, as an RRULE of RFC 5545: alone, or in a block whose DTSTART agrees with `start` and `timezone`.
    /// MINUTELY to YEARLY, at most every 5 minutes. If `recurrence` is given too, both must mean the same.
    #[schema(example = "FREQ=WEEKLY;BYDAY=MO,TH", max_length = 1000)]
    rrule: Option<String>,
    /// The exceptions from the rule, at most 500: dates such as `2026-12-25`, or times such as `2026-12-24T17:00`.
    #[serde(default)]
    #[schema(example = json!(["2027-12-27"]), max_items = 500)]
    exdates: Vec<String>,
    /// What happens at a time that clocks skip: `shift` fires later by the length of the gap (02:30 at 03:30), `skip`
    /// does not fire.
    #[serde(default)]
    on_gap: OnGap,
    /// The time of day in `timezone` from which on it may send: an hour, or a time such as `"08:30"`. The default is
    /// midnight. It needs `window_end`, and each time at which the reminder fires must lie between the two.
    window_start: Option<Edge>,
    /// The time of day until which it may send, also what fired in time and waits for the account: an hour from 0 to
    /// 24, or a time such as `"18:30"`. If it is earlier than `window_start`, it is on the next day.
    window_end: Option<Edge>,
    /// What happens to occurrences that came due while nobody could fire them: `latest` fires the newest within the
    /// catch-up window, `all` the newest ten within it, `skip` none that is more than a minute late. The others are
    /// `missed`.
    #[serde(default)]
    misfire: Misfire,
    /// How late an occurrence may still fire, in seconds: 60 to 86,400. The default is 3,600. This does not limit
    /// sending: what has fired while the account was offline is sent when the account is online again, however late,
    /// unless `window_end` ends it.
    #[schema(example = 3600, minimum = 60, maximum = 86400)]
    catchup_window_s: Option<i32>,
    /// What happens to an occurrence while the previous run is in progress: `skip` misses it, `queue` lets it wait,
    /// `allow` sends both.
    #[serde(default)]
    overlap: Overlap,
    // the other fields of an answer: they may be sent back, and are ignored
    #[serde(default, rename = "id")]
    #[schema(ignore)]
    _id: IgnoredAny,
    #[serde(default, rename = "status")]
    #[schema(ignore)]
    _status: IgnoredAny,
    #[serde(default, rename = "summary")]
    #[schema(ignore)]
    _summary: IgnoredAny,
    #[serde(default, rename = "version")]
    #[schema(ignore)]
    _version: IgnoredAny,
    #[serde(default, rename = "next_fire_at")]
    #[schema(ignore)]
    _next_fire_at: IgnoredAny,
    #[serde(default, rename = "last_fired_at")]
    #[schema(ignore)]
    _last_fired_at: IgnoredAny,
    #[serde(default, rename = "created_at")]
    #[schema(ignore)]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    #[schema(ignore)]
    _updated_at: IgnoredAny,
}

impl Wish {
    /// Checks all fields. `schedule` checks when the reminder fires, for a new or an edited one. The problem names
    /// every field that is wrong by itself.
    pub(crate) fn checked(
        &self,
        schedule: impl FnOnce(&Spec<'_>) -> std::result::Result<Accepted, schedule::Error>,
    ) -> Result<Plan> {
        let mut errors = Vec::new();
        let name = name(&self.name, MAX_NAME).map_err(|error| note(&mut errors, "name", error)).unwrap_or_default();
        self.check_messages(&mut errors);
        let targets = self.canonical_targets(&mut errors);
        let catchup_window_s = self.catchup_window_s.unwrap_or(catch_up::DEFAULT_WINDOW_S);
        if !catch_up::WINDOW_S.contains(&catchup_window_s) {
            note(&mut errors, "catchup_window_s", "must be 60 to 86,400 seconds");
        }
        let bytes: usize = self.messages.iter().map(String::len).sum();
        if errors.is_empty() && bytes * targets.len() > MAX_FIRING {
            let most = MAX_FIRING / 1024 / targets.len().max(1);
            note(
                &mut errors,
                "messages",
                format_args!("must have at most {most} KiB in all for {} targets", targets.len()),
            );
        }
        let plan = schedule(&self.spec()).map_err(|error| note(&mut errors, error.field, error.message)).ok();
        match plan {
            Some(when) if errors.is_empty() => Ok(Plan {
                account: self.account_id,
                name,
                timezone: self.timezone.clone(),
                start_local: when.start.local,
                start_later: when.start.is_later(when.tz),
                rrule: when.rrule,
                times: when.times,
                exdates: when.exdates,
                on_gap: self.on_gap,
                recurrence: self.recurrence.as_ref().and_then(|spec| serde_json::to_value(spec).ok()),
                window: when.window,
                misfire: self.misfire,
                catchup_window_s,
                overlap: self.overlap,
                next_fire_at: when.first_fire,
                messages: self.messages.clone(),
                targets,
                stands_for: when.stands_for.map(|due| (due, when.following.occurrences.get(1).map(|next| next.at))),
                expected: None,
            }),
            _ => Err(Problem::Invalid(errors)),
        }
    }

    fn check_messages(&self, errors: &mut Vec<FieldError>) {
        if !(1..=MAX_MESSAGES).contains(&self.messages.len()) {
            note(errors, "messages", format_args!("must be 1 to {MAX_MESSAGES} texts"));
        }
        for (place, text) in self.messages.iter().enumerate().take(MAX_MESSAGES) {
            if let Err(error) = check_text(text) {
                note(errors, format!("messages[{place}]"), error);
            }
        }
    }

    fn canonical_targets(&self, errors: &mut Vec<FieldError>) -> Vec<String> {
        if !(1..=MAX_TARGETS).contains(&self.targets.len()) {
            note(errors, "targets", format_args!("must be 1 to {MAX_TARGETS} chats"));
        }
        let mut seen = HashSet::new();
        let mut targets = Vec::new();
        for (place, text) in self.targets.iter().enumerate().take(MAX_TARGETS) {
            match text.parse::<Jid>() {
                Ok(jid) if seen.insert(jid.clone()) => targets.push(jid.as_str().to_owned()),
                Ok(_) => note(errors, format!("targets[{place}]"), "is a duplicate"),
                Err(error) => note(errors, format!("targets[{place}]"), error),
            }
        }
        targets
    }

    fn spec(&self) -> Spec<'_> {
        Spec {
            start: &self.start,
            timezone: &self.timezone,
            recurrence: self.recurrence.as_ref(),
            rrule: self.rrule.as_deref(),
            exdates: &self.exdates,
            on_gap: self.on_gap,
            window_start: self.window_start.as_ref(),
            window_end: self.window_end.as_ref(),
        }
    }
}

fn note(errors: &mut Vec<FieldError>, field: impl Into<String>, message: impl ToString) {
    errors.push(FieldError { field: field.into(), message: message.to_string() });
}
