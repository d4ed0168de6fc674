//! What moves webhooks: the rows, what wakes a follower, what posts; and room for so much at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bells::bus::Bus;
use domain::id::{TenantId, WorkerId};
use store::Store;
use tokio::sync::Semaphore;

use super::http::Sender;

/// Questions that all followers ask the database at the same time; the rest of the pool is the sessions'.
const ROWS: usize = 4;
/// Requests under way in all.
const SENDING: usize = 256;
/// Requests of one tenant under way: its slow receivers keep others waiting no longer than its own.
const SENDING_OF_TENANT: usize = 32;

/// What every follower has at hand.
pub struct Means {
    /// The rows.
    pub store: Store,
    /// What wakes a follower.
    pub bus: Bus,
    /// This boot of this process.
    pub worker: WorkerId,
    /// What posts.
    pub sender: Sender,
    pub(super) rows: Semaphore,
    pub(super) sending: Semaphore,
    of_tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

impl Means {
    /// With room for the usual number of questions and requests.
    #[must_use]
    pub fn new(store: Store, bus: Bus, worker: WorkerId, sender: Sender) -> Self {
        let (rows, sending) = (Semaphore::new(ROWS), Semaphore::new(SENDING));
        Self { store, bus, worker, sender, rows, sending, of_tenants: Mutex::default() }
    }

    /// The places of a tenant's requests, shared by its webhooks.
    pub(super) fn places(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut all = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = all.get(&tenant).and_then(Weak::upgrade) {
            return places;
        }
        all.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(SENDING_OF_TENANT));
        all.insert(tenant, Arc::downgrade(&places));
        places
    }
}
