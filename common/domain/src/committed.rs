//! Pure. What must follow a commit: bells for whoever does the work, signals for whoever listens.

use std::ops::Deref;

use crate::id::TenantId;
use crate::job::Bell;

/// What a step has written, and what must follow once that is committed. It is used up by announcing it.
#[must_use = "bells and signals follow a commit: announce it"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<T> {
    value: T,
    after: After,
}

/// What follows a commit.
#[must_use = "bells and signals follow a commit: announce it"]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct After {
    /// Bells to ring, each with the W3C `traceparent` of the story that it goes on with.
    pub bells: Vec<(Bell, Option<String>)>,
    /// Tenants that have news for their live streams and webhooks.
    pub tenants: Vec<TenantId>,
}

impl<T> Committed<T> {
    /// Nothing follows as yet.
    pub fn new(value: T) -> Self {
        Self { value, after: After::default() }
    }

    /// A bell follows.
    pub fn ring(self, bell: Bell) -> Self {
        self.ring_after(bell, None)
    }

    /// A bell follows that goes on with a story.
    pub fn ring_after(mut self, bell: Bell, story: Option<String>) -> Self {
        self.after.bells.push((bell, story));
        self
    }

    /// These tenants have news.
    pub fn signal(mut self, tenants: impl IntoIterator<Item = TenantId>) -> Self {
        self.after.tenants.extend(tenants);
        self
    }

    /// The value, and what must follow.
    pub fn parts(self) -> (T, After) {
        (self.value, self.after)
    }

    /// The value alone: nothing is rung and nobody is signaled. For tests, and for what is told anyway.
    pub fn quietly(self) -> T {
        self.value
    }
}

impl Committed<Vec<TenantId>> {
    /// These tenants, who have news.
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
    /// What follows both.
    pub fn and(mut self, other: Self) -> Self {
        self.bells.extend(other.bells);
        self.tenants.extend(other.tenants);
        self
    }
}
