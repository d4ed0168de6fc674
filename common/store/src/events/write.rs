//! Writes events; all code writes them here. A statement that changes rows and must remain one statement calls the same
//! SQL function, `write_events`, with a kind of the registry.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use domain::event::Event;
use domain::id::{AccountId, TenantId};
use process::telemetry::trace;

/// Events of one step, of any number of tenants. They are written as one statement.
#[derive(Debug, Default)]
pub struct Events {
    tenants: Vec<Uuid>,
    accounts: Vec<Option<Uuid>>,
    kinds: Vec<&'static str>,
    data: Vec<Value>,
    traces: Vec<Option<String>>,
}

impl Events {
    /// A single event, in the caller's trace.
    #[must_use]
    pub fn one(tenant: TenantId, account: Option<AccountId>, event: &Event) -> Self {
        let mut events = Self::default();
        events.push(tenant, account, event);
        events
    }

    /// Adds an event in the caller's trace.
    pub fn push(&mut self, tenant: TenantId, account: Option<AccountId>, event: &Event) {
        self.push_of(trace::here(), tenant, account, event);
    }

    /// Adds an event in a trace of its own, if given.
    pub fn push_of(&mut self, trace: Option<String>, tenant: TenantId, account: Option<AccountId>, event: &Event) {
        self.tenants.push(tenant.0);
        self.accounts.push(account.map(|account| account.0));
        self.kinds.push(event.kind().as_str());
        self.data.push(event.data());
        self.traces.push(trace);
    }

    /// Writes all events, in order, within the caller's transaction. They exist only if that commits.
    ///
    /// # Errors
    /// If the database fails.
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
