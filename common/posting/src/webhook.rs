//! One webhook that this worker follows, and its part of what all followers share.

use std::sync::Arc;

use domain::id::{TenantId, WebhookId};
use store::webhooks::owner::Owner;
use store::{Result, answered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::means::Means;

/// How many events are read at once.
pub(super) const PAGE: i64 = 100;
/// How many waiting deliveries that hold nobody up (they were refused or have failed often) are kept. Beyond that the
/// oldest are given up.
pub(super) const PASSED_MAX: i64 = 10_000;
/// How many requests to one webhook run at the same time, each for another account.
pub(super) const LANES: usize = 4;

/// The task of one webhook.
pub(super) struct Follower {
    pub(super) means: Arc<Means>,
    pub(super) tenant: TenantId,
    pub(super) webhook: WebhookId,
    pub(super) places: Arc<Semaphore>,
}

/// A permit for one request: one of the tenant's permits, and one of the worker's.
pub(super) struct Room<'a> {
    pub(super) place: Arc<OwnedSemaphorePermit>,
    _sending: SemaphorePermit<'a>,
}

impl Follower {
    pub(super) fn new(means: Arc<Means>, tenant: TenantId, webhook: WebhookId) -> Self {
        let places = means.places(tenant);
        Self { means, tenant, webhook, places }
    }

    /// The right to read and write the webhook's rows together with others.
    pub(super) fn owner(&self) -> Owner {
        Owner { tenant: self.tenant, webhook: self.webhook, worker: self.means.worker }
    }

    /// Runs one query when there is a permit for it. A database that does not answer does not keep the permit.
    pub(super) async fn ask<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let _rows = self.means.rows.acquire().await;
        answered(call).await
    }

    /// Waits for the permits of one request. Returns `None` if the semaphores are closed.
    pub(super) async fn room(&self) -> Option<Room<'_>> {
        let place = Arc::new(Arc::clone(&self.places).acquire_owned().await.ok()?);
        Some(Room { place, _sending: self.means.sending.acquire().await.ok()? })
    }
}
