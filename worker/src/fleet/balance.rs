//! Keeps this worker's share of the accounts: claims free accounts and hands over surplus ones. `placement` decides how
//! many.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use process::clock::BootTime;
use process::telemetry::metrics;
use store::answered;
use store::leases::Waits;

use super::placement::{AFTER_OVERFLOW, GRACE, Plan, SHED_PER_S};
use super::supervisor::{Held, Hold, Supervisor};

/// The most accounts claimed at once.
pub const CLAIM_BATCH: usize = 200;

impl Supervisor {
    /// What this worker should do, by a view of the fleet that was read after `since`, if given.
    async fn plan(&self, since: Option<BootTime>) -> store::Result<Plan> {
        let held = self.held().len();
        let plan = self.0.view.plan(&self.0.context, held, since).await?;
        metrics::PLACEMENT_TARGET.set(f64::from(plan.target));
        Ok(plan)
    }

    /// How many accounts this worker may hold when it claims one that it heard of at `since`. If it already holds that
    /// many, the fleet is read again unless the last look is newer: the worker that freed the account may have left.
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

    /// Claims accounts that should be live and have no owner. Returns how many were claimed.
    pub async fn sweep(&self) -> usize {
        self.claim_unowned().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not look for accounts without an owner");
            0
        })
    }

    /// Claims up to this worker's share at once, and beyond it only accounts that others have left.
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

    /// Hands over surplus accounts that other workers lack, as many as may be handed over in `every`. Returns how many.
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
        // accounts that are being given back already do not count
        let staying = self.held().values().filter(|hold| hold.live().is_none_or(Held::stays)).count();
        let plan = self.0.view.plan(&self.0.context, staying, None).await?;
        // no faster than the whole cluster may connect
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
