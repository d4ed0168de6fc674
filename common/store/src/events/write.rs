//! Writing events: the one way into the table. A statement that changes rows and must stay one calls the same SQL function,
//! `write_events`, with the kind's word from the registry.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use domain::event::Event;
use domain::id::{AccountId, TenantId};
use process::telemetry::trace;

/// What a step tells, of any number of tenants: written as one statement.
#[derive(Debug, Default)]
pub struct Events {
    tenants: Vec<Uuid>,
    accounts: Vec<Option<Uuid>>,
    kinds: Vec<&'static str>,
    data: Vec<Value>,
    traces: Vec<Option<String>>,
}

impl Events {
    /// One event, in the story that the caller is in.
    #[must_use]
    pub fn one(tenant: TenantId, account: Option<AccountId>, event: &Event) -> Self {
        let mut events = Self::default();
        events.push(tenant, account, event);
        events
    }

    /// Adds one; it belongs to the story that the caller is in.
    pub fn push(&mut self, tenant: TenantId, account: Option<AccountId>, event: &Event) {
        self.push_of(trace::here(), tenant, account, event);
    }

    /// Adds one that belongs to a story of its own, if that is told.
    pub fn push_of(&mut self, trace: Option<String>, tenant: TenantId, account: Option<AccountId>, event: &Event) {
        self.tenants.push(tenant.0);
        self.accounts.push(account.map(|account| account.0));
        self.kinds.push(event.kind().as_str());
        self.data.push(event.data());
        self.traces.push(trace);
    }

    /// Writes all of them, in order, within the caller's transaction: they happened if, and only if, that commits.
    ///
    /// # Errors
    /// When the database does not do it.
    pub async fn write(self, transaction: &mut PgConnection) -> Result<()> {
        if self.tenants.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "SELECT write_events(array_agg(ROW(t.tenant, t.account, t.kind, t.data, t.trace)::new_event ORDER BY t.n))
             FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::text[]) WITH ORDINALITY
                 AS t (tenant, account, kind, data, trace, n)",
            &self.tenants,
            &self.accounts as &[Option<Uuid>],
            &self.kinds as &[&str],
            &self.data,
            &self.traces as &[Option<String>]
        )
        .fetch_one(transaction)
        .await?;
        Ok(())
    }
}
