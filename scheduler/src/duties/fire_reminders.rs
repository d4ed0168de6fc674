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
/// The longest sleep: a waking that was lost costs no more. Else it sleeps until the next occurrence is due.
const INTERVAL: Duration = Duration::from_secs(15);
/// The rest after a round that failed: what is due does not wait for the interval.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The rest when everything due is locked by another scheduler, which fires it.
const LOCKED: Duration = Duration::from_millis(50);
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

    fn retry_after(&self) -> Duration {
        RETRY_AFTER
    }

    async fn woken(&self, context: &Context) {
        context.armed.notified().await;
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut done = 0;
        for _ in 0..BATCHES {
            let firing = due::fire_due(&context.db, BATCH).await?;
            if firing.due == 0 {
                break;
            }
            done += firing.due;
            context.signal(firing.tenants);
            let bells: Vec<Bell> = firing.fired.iter().map(|fired| Bell::FireReminder { run: fired.run }).collect();
            context.ring(&bells).await;
        }
        let next_in = due::next_due_in(&context.db).await?;
        let next_in = next_in.map(|next| if done == 0 && next.is_zero() { LOCKED } else { next + PAST });
        Ok(Round { done, next_in })
    }
}
