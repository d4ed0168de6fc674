//! Announces committed changes: signals first, then bells.

use domain::committed::{After, Committed};

use crate::bus::Bus;
use crate::doorbell::Doorbell;

/// Signals each tenant once, and rings the bells. A bell that fails to ring costs only time: the row waits until the
/// scheduler's duty rings again.
pub async fn announce<T>(bus: &Bus, doorbell: &Doorbell, committed: Committed<T>) -> T {
    let (value, after) = committed.parts();
    signal(bus, &after);
    ring(doorbell, after).await;
    value
}

/// Sends only the signals.
pub fn signal(bus: &Bus, after: &After) {
    let mut tenants = after.tenants.clone();
    tenants.sort_unstable();
    tenants.dedup();
    tenants.into_iter().for_each(|tenant| bus.signal(tenant));
}

/// Rings only the bells.
pub async fn ring(doorbell: &Doorbell, after: After) {
    if after.bells.is_empty() {
        return;
    }
    if let Err(error) = doorbell.ring_traced(&after.bells).await {
        tracing::warn!(%error, bells = after.bells.len(), "bells did not ring; the rows wait");
    }
}
