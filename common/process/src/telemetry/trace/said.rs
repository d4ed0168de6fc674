//! The attributes and the status of a step. No value contains a phone number, an address, a text, a host or a key.

use std::fmt::Display;

use opentelemetry::Value;
use opentelemetry::trace::Status;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::step::Step;
use domain::id::{AccountId, TenantId, WebhookId};

/// An error that a step may end with.
pub trait Fault {
    /// A word from a fixed set; `None` if the caller asked for something impossible, which is not our fault.
    fn fault(&self) -> Option<&'static str>;
}

impl<E: Fault> Fault for &E {
    fn fault(&self) -> Option<&'static str> {
        (**self).fault()
    }
}

impl Step {
    /// Sets the status of a request. A 4xx is an error only if another server answered with it; if we answered
    /// (`by_us`), it is the caller's fault (HTTP conventions, "Status").
    pub fn answered(&self, status: u16, by_us: bool) {
        self.note("http.response.status_code", || i64::from(status).into());
        if status >= 500 || (status >= 400 && !by_us) {
            self.fails(&status);
        }
    }

    /// The message: the id of its row.
    #[must_use]
    pub fn message(self, id: &impl Display) -> Self {
        self.note("messaging.message.id", || id.to_string().into());
        self
    }

    /// How many items the step handles.
    #[must_use]
    pub fn batch(self, messages: usize) -> Self {
        self.note("messaging.batch.message_count", || number(messages));
        self
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(self, tenant: TenantId) -> Self {
        self.note("switchboard.tenant.id", || tenant.to_string().into());
        self
    }

    /// The account.
    #[must_use]
    pub fn account(self, account: AccountId) -> Self {
        self.note("switchboard.account.id", || account.to_string().into());
        self
    }

    /// The webhook.
    #[must_use]
    pub fn webhook(self, webhook: WebhookId) -> Self {
        self.note("switchboard.webhook.id", || webhook.to_string().into());
        self
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(self, attempt: i32) -> Self {
        self.note("switchboard.attempt", || i64::from(attempt).into());
        self
    }

    /// The kind of a bell or an event.
    #[must_use]
    pub fn kind(self, kind: &str) -> Self {
        self.note("switchboard.kind", || kind.to_owned().into());
        self
    }

    /// How a bell was heard.
    #[must_use]
    pub fn path(self, word: &'static str) -> Self {
        self.note("switchboard.bell.path", || word.into());
        self
    }

    /// How many of the accounts were claimed.
    pub fn claimed(&self, accounts: usize) {
        self.note("switchboard.claimed", || number(accounts));
    }

    /// The outcome, a word from a fixed set.
    pub fn outcome(&self, word: &'static str) {
        self.note("switchboard.outcome", || word.into());
    }

    /// Adds an event to the step.
    pub fn event(&self, what: &'static str) {
        if !self.0.is_disabled() {
            self.0.add_event(what, Vec::new());
        }
    }

    /// Marks the step as failed. `error` is a word from a fixed set, or a code.
    pub fn fails(&self, error: &impl Display) {
        if !self.0.is_disabled() {
            let word = error.to_string();
            self.0.set_attribute("error.type", word.clone());
            self.0.set_status(Status::error(word));
        }
    }

    /// Marks the step as failed if the result is an error that is our fault.
    pub fn heard<T, E: Fault>(&self, result: &Result<T, E>) {
        if let Some(word) = result.as_ref().err().and_then(Fault::fault) {
            self.fails(&word);
        }
    }

    fn note(&self, name: &'static str, value: impl FnOnce() -> Value) {
        if !self.0.is_disabled() {
            self.0.set_attribute(name, value());
        }
    }
}

fn number(count: usize) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}
