//! Fires what is due: an occurrence becomes a run, once, and its reminder is armed again (R03, R45).

use std::time::Duration;

use async_trait::async_trait;
use common::job::Bell;
use common::store::due;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// Occurrences of one transaction.
const BATCH: i64 = 500;
/// Transactions of one round; the next round comes at once when that was not enough.
const BATCHES: usize = 20;
/// A reminder that was made or changed meanwhile is seen after this.
const INTERVAL: Duration = Duration::from_secs(1);
/// Past the due time by this, so that the database's clock has certainly reached it.
const PAST: Duration = Duration::from_millis(1);

/// The duty.
pub struct FireReminders;

#[async_trait]
impl Duty for FireReminders {
    fn name(&self) -> &'static str {
        "fire_reminders"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for _ in 0..BATCHES {
            let fired = due::fire_due(&context.db, BATCH).await?;
            if fired.is_empty() {
                break;
            }
            done += fired.len();
            context.signal(fired.iter().map(|fired| fired.tenant));
            let bells: Vec<Bell> = fired.iter().map(|fired| Bell::FireReminder { run: fired.run }).collect();
            context.ring(&bells).await;
        }
        let next_in = due::next_due_in(&context.db).await?.map(|next| next + PAST);
        Ok(Round { done, next_in })
    }
}
