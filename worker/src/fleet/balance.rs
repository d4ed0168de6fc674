//! Keeps this worker's part of the accounts: claims what is free, hands over what is too much. How many is decided by
//! `placement`.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use process::clock::BootTime;
use process::telemetry::metrics;
use store::answered;

use super::placement::{AFTER_OVERFLOW, GRACE, Plan, SHED_PER_S};
use super::supervisor::{Held, Hold, Supervisor, Waits};

/// Accounts claimed in one go.
pub const CLAIM_BATCH: usize = 200;

impl Supervisor {
    /// What this worker should do, as the fleet is now, or was at `since` at the earliest.
    async fn plan(&self, since: Option<BootTime>) -> store::Result<Plan> {
        let held = self.held().len();
        let plan = self.0.view.plan(&self.0.context, held, since).await?;
        metrics::PLACEMENT_TARGET.set(f64::from(plan.target));
        Ok(plan)
    }

    /// How many accounts this worker may hold when it claims one that it heard of at `since`. Reads the fleet again if the last
    /// look is older: the worker that freed the account may have left.
    pub(super) async fn up_to(&self, waits: Waits, since: BootTime) -> store::Result<usize> {
        let of = |plan: Plan| {
            size(match waits {
                Waits::Person => plan.urgent,
                Waits::Message => plan.at_once,
            })
        };
        let up_to = of(self.plan(None).await?);
        if self.held().len() < up_to {
            return Ok(up_to);
        }
        Ok(of(self.plan(Some(since)).await?))
    }

    /// Looks for accounts that should be live and that nobody has. Answers how many were claimed.
    pub async fn sweep(&self) -> usize {
        self.claim_unowned().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not look for accounts without an owner");
            0
        })
    }

    /// Up to this worker's share at once; beyond it only what others have left.
    async fn claim_unowned(&self) -> anyhow::Result<usize> {
        let plan = self.plan(None).await?;
        let held = self.held().len();
        let overflow = held >= size(plan.at_once);
        let (up_to, unowned_for) = if overflow { (plan.after_grace, GRACE) } else { (plan.at_once, Duration::ZERO) };
        let limit = size(up_to).saturating_sub(held).min(CLAIM_BATCH);
        if limit == 0 {
            return Ok(0);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found =
            answered(store::leases::unowned(self.0.context.store.for_all_tenants(), unowned_for, limit)).await?;
        let claimed = self.claim(&found, size(up_to)).await?.len();
        if overflow && claimed > 0 {
            tracing::info!(count = claimed, target = plan.target, "took accounts that others had left");
            *self.overflowed() = Some(BootTime::now());
        }
        Ok(claimed)
    }

    fn overflowed(&self) -> MutexGuard<'_, Option<BootTime>> {
        self.0.overflowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what is too much here and too little elsewhere, as much as may be handed over in `every`. Answers how many.
    pub async fn shed(&self, every: Duration) -> usize {
        self.shed_surplus(every).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not compare the load with that of other workers");
            0
        })
    }

    async fn shed_surplus(&self, every: Duration) -> store::Result<usize> {
        let overflowed = *self.overflowed();
        if overflowed.is_some_and(|at| BootTime::now().since(at) < AFTER_OVERFLOW) {
            return Ok(0);
        }
        // those that go already count no more
        let staying = self.held().values().filter(|hold| hold.live().is_none_or(Held::stays)).count();
        let plan = self.0.view.plan(&self.0.context, staying, None).await?;
        // no faster than all together may connect
        let per_s = self.0.context.limiter.part_per_s().map_or(SHED_PER_S, |part| part.min(SHED_PER_S));
        let limit = plan.shed.min(per_s * u32::try_from(every.as_secs()).unwrap_or(1).max(1));
        if limit == 0 {
            return Ok(0);
        }
        let context = &self.0.context;
        let movable = store::leases::movable(context.store.for_all_tenants(), context.worker, i64::from(limit));
        let accounts = answered(movable).await?;
        let mut count = 0_u32;
        for account in &accounts {
            if let Some(Hold::Live(held)) = self.held().get(account)
                && held.stays()
            {
                held.orders.release.cancel();
                count += 1;
            }
        }
        metrics::SESSIONS_SHED.inc_by(f64::from(count));
        tracing::info!(count, held = staying, target = plan.target, "handing sessions over: other workers hold fewer");
        Ok(size(count))
    }
}

pub(super) fn size(accounts: u32) -> usize {
    usize::try_from(accounts).unwrap_or(usize::MAX)
}
