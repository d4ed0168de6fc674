//! The list of all duties.

use std::sync::Arc;

use crate::config::Config;
use crate::duty::Duty;

pub mod drop_inboxes;
pub mod expire_messages;
pub mod finish_deletes;
pub mod fire_reminders;
pub mod heartbeat;
pub mod measure;
pub mod park_stale_pairings;
pub mod prune;
pub mod refresh_zone_data;
pub mod ring_again;
pub mod settle_runs;
pub mod tell_lost_sessions;

/// All duties of a scheduler.
#[must_use]
pub fn all(config: &Config) -> Vec<Arc<dyn Duty>> {
    vec![
        Arc::new(heartbeat::Heartbeat),
        Arc::new(fire_reminders::FireReminders::default()),
        Arc::new(tell_lost_sessions::TellLostSessions::default()),
        Arc::new(refresh_zone_data::RefreshZoneData),
        Arc::new(ring_again::RingAgain { age: config.ring_again() }),
        Arc::new(settle_runs::SettleRuns),
        Arc::new(expire_messages::ExpireMessages),
        Arc::new(finish_deletes::FinishDeletes),
        Arc::new(park_stale_pairings::ParkStalePairings),
        Arc::new(drop_inboxes::DropInboxes),
        Arc::new(measure::Measure),
        Arc::new(prune::Prune {
            events_kept: config.events_kept(),
            runs_kept: config.runs_kept(),
            messages_kept_days: config.messages_kept_days,
            audit_kept_days: config.audit_kept_days,
        }),
    ]
}
