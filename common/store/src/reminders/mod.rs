//! Reminders: what a tenant decides about them, and when they fire next. All writes of reminders are here. The module
//! `runs` handles their occurrences.

pub(crate) mod due;
mod edit;
pub(crate) mod pausing;
mod row;
pub(crate) mod timetable;
mod wake;
pub(crate) mod zone_data;

pub use edit::{past, rename, update};
pub use pausing::{pause, resume};
pub use row::{Filter, Plan, Reminder, Status, create, delete, get, list, now};
pub use wake::Wake;
pub use zone_data::{Refreshed, refresh_zone_data};
