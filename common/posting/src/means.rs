//! The shared resources of all followers: the rows, the signals, the sender, and the limits on concurrent work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bells::bus::Bus;
use domain::id::{TenantId, WorkerId};
use store::Store;
use tokio::sync::Semaphore;

use super::http::Sender;

/// How many database queries all followers run at the same time, besides those that they run together. The rest of the
/// pool is for the sessions.
const ROWS: usize = 2;
/// How many requests run at the same time.
const SENDING: usize = 256;
/// How many requests of one tenant run at the same time, so that its slow receivers do not delay other tenants.
const SENDING_OF_TENANT: usize = 32;

/// The shared resources of all followers.
pub struct Means {
    /// The rows.
    pub store: Store,
    /// The signals that wake a follower.
    pub bus: Bus,
    /// This boot of this process.
    pub worker: WorkerId,
    /// Posts events to receivers.
    pub sender: Sender,
    pub(super) rows: Semaphore,
    pub(super) sending: Semaphore,
    of_tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
}

impl Means {
    /// Creates the resources with the default limits.
    #[must_use]
    pub fn new(store: Store, bus: Bus, worker: WorkerId, sender: Sender) -> Self {
        let (rows, sending) = (Semaphore::new(ROWS), Semaphore::new(SENDING));
        Self { store, bus, worker, sender, rows, sending, of_tenants: Mutex::default() }
    }

    /// The permits for a tenant's requests, shared by its webhooks.
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
