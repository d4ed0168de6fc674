//! Pure. What must follow a commit: bells for workers, and signals for listeners.

use std::ops::Deref;

use crate::id::TenantId;
use crate::job::Bell;

/// The result of a step, and what must follow once the step is committed. Announcing it consumes it.
#[must_use = "bells and signals follow a commit: announce it"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    value: T,
    after: After,
}

/// What must follow a commit.
#[must_use = "bells and signals follow a commit: announce it"]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct After {
    /// Bells to ring, each with the W3C `traceparent` of the trace that it continues.
    pub bells: Vec<(Bell, Option<String>)>,
    /// Tenants with new events for their live streams and webhooks.
    pub tenants: Vec<TenantId>,
}

impl<T> Committed<T> {
    /// A result after which nothing follows yet.
    pub fn new(value: T) -> Self {
        Self { value, after: After::default() }
    }

    /// Adds a bell.
    pub fn ring(self, bell: Bell) -> Self {
        self.ring_after(bell, None)
    }

    /// Adds a bell that continues the trace `story`.
    pub fn ring_after(mut self, bell: Bell, story: Option<String>) -> Self {
        self.after.bells.push((bell, story));
        self
    }

    /// Adds tenants with new events.
    pub fn signal(mut self, tenants: impl IntoIterator<Item = TenantId>) -> Self {
        self.after.tenants.extend(tenants);
        self
    }

    /// Splits it into the result and what must follow.
    pub fn parts(self) -> (T, After) {
        (self.value, self.after)
    }

    /// The result alone. No bell is rung and no tenant is signaled. For tests, and for callers that announce the same
    /// in another way.
    pub fn quietly(self) -> T {
        self.value
    }
}

impl Committed<Vec<TenantId>> {
    /// These tenants as the result, each with new events.
    pub fn news_of(tenants: Vec<TenantId>) -> Self {
        Self::new(tenants.clone()).signal(tenants)
    }
}

impl<T> Deref for Committed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl After {
    /// Joins both.
    pub fn and(mut self, other: Self) -> Self {
        self.bells.extend(other.bells);
        self.tenants.extend(other.tenants);
        self
    }
}
