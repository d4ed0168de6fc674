//! Measures the whole cluster from the rows: the accounts, what waits and for how long, the workers. There is no
//! leader, so each scheduler measures, and all get the same figures.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::account::Status;
use domain::job::Queue;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::{SharedQueue, Table, Waiting, WebhookState, WorkerState};
use store::measure::{self, Figure};

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The duty.
pub struct Measure;

#[async_trait]
impl Duty for Measure {
    fn name(&self) -> &'static str {
        "measure"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let figures = measure::cluster(context.store.for_all_tenants()).await?;
        show(&figures);
        let tables: Vec<&str> = Table::ALL.iter().map(|table| table.as_str()).collect();
        let sizes: HashMap<String, f64> =
            measure::table_bytes(context.store.pool(), &tables).await?.into_iter().collect();
        for table in Table::ALL {
            metrics::TABLE_BYTES.of(*table).set(sizes.get(table.as_str()).copied().unwrap_or(0.0));
        }
        metrics::MEASURED.of(()).set(metrics::epoch_seconds());
        for (label, queue) in [(SharedQueue::Claim, Queue::Claim), (SharedQueue::FireReminder, Queue::FireReminder)] {
            // Redis may be unreachable, and its errors are counted: the figures from the rows are still valid
            match context.doorbell.due(queue).await {
                Ok(due) => metrics::QUEUE_JOBS.of(label).set(due as f64),
                Err(error) => tracing::debug!(%error, "the queues were not counted"),
            }
        }
        Ok(Round::of(figures.len()))
    }
}

/// Sets the metrics from the figures. A metric without a figure is set to 0.
fn show(figures: &[Figure]) {
    let of = |what: &str, kind: &str, reason: &str| {
        let found = figures.iter().find(|one| (&*one.what, &*one.kind, &*one.reason) == (what, kind, reason));
        found.map_or((0.0, 0.0), |one| (one.count, one.more))
    };
    for status in Status::ALL {
        metrics::ACCOUNTS.of(status).set(of("accounts", status.as_str(), "").0);
    }
    let (wanted, online) = of("wanted", "", "");
    metrics::ACCOUNTS_WANTED.set(wanted);
    metrics::ACCOUNTS_ONLINE.set(online);
    metrics::ACCOUNTS_UNOWNED.set(of("unowned", "", "").0);
    for waiting in Waiting::ALL {
        let (count, oldest) = of("waiting", waiting.kind(), waiting.reason());
        metrics::WAITING.of(*waiting).set(count);
        metrics::WAITING_OLDEST_SECONDS.of(*waiting).set(oldest);
    }
    for state in WorkerState::ALL {
        metrics::WORKERS.of(*state).set(of("workers", state.as_str(), "").0);
    }
    for state in WebhookState::ALL {
        metrics::WEBHOOKS.of(*state).set(of("webhooks", state.as_str(), "").0);
    }
    metrics::CAPACITY.set(of("capacity", "", "").0);
    metrics::TENANTS.set(of("tenants", "", "").0);
}
