//! How this worker answers each kind of bell.

use std::sync::Arc;

use async_trait::async_trait;
use bells::doorbell::{Handler, Noted};
use domain::job::{Answer, Bell, Job};
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{BellAnswer, BellKind, QueueKind};

use crate::context::Context;
use crate::fleet::supervisor::{Knock, Rows, Supervisor};

pub mod fire_reminder;

/// Answers the bells of one worker.
pub struct Jobs {
    context: Arc<Context>,
    supervisor: Supervisor,
}

impl Jobs {
    /// Creates the handler of one worker's bells.
    #[must_use]
    pub fn new(context: Arc<Context>, supervisor: Supervisor) -> Self {
        Self { context, supervisor }
    }
}

fn answered(knock: Knock) -> Answer {
    match knock {
        Knock::Heard | Knock::Claimed | Knock::Nothing => Answer::Done,
        Knock::NotMine => Answer::NotMine,
    }
}

#[async_trait]
impl Handler for Jobs {
    async fn answer(&self, job: Job) -> Answer {
        match job.bell {
            // the rows hold what was asked for; the session reads them
            Bell::Pair { account } | Bell::Unpair { account } => {
                answered(self.supervisor.knock(account, Rows::Account).await)
            }
            Bell::Send { account } => answered(self.supervisor.knock(account, Rows::Outbox).await),
            Bell::FireReminder { run } => fire_reminder::answer(&self.context, run).await,
        }
    }

    async fn look_at_everything(&self) {
        self.supervisor.look_at_everything().await;
    }

    fn noted(&self, what: &Noted) {
        match what {
            Noted::Answered { bell, answer, .. } => {
                metrics::BELLS_ANSWERED.of((BellKind::from(bell), BellAnswer::from(answer))).inc();
            }
            Noted::ConsumerEnded { queue, reason } => {
                metrics::CONSUMER_RESTARTS.of(QueueKind::from(*queue)).inc();
                tracing::warn!(queue = queue.kind(), reason, "a queue's consumer ended; it is started anew");
            }
            Noted::Unsubscribed { reason } => tracing::warn!(reason, "bells are not heard at once for a while"),
            Noted::Consuming { .. } | Noted::Subscribed { .. } | Noted::Overrun => {}
        }
    }
}
