//! What a step tells: events and notifications of several tenants, written as one statement each.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::id::{AccountId, ReminderId, RunId, TenantId};
use crate::run::notice::Kind;
use crate::store::Result;
use crate::telemetry::trace;

/// Events for live streams.
#[derive(Default)]
pub(in crate::store) struct Events {
    tenants: Vec<Uuid>,
    accounts: Vec<Option<Uuid>>,
    kinds: Vec<String>,
    data: Vec<serde_json::Value>,
    traces: Vec<Option<String>>,
}

impl Events {
    /// Adds one; it belongs to the story that the caller is in.
    pub(in crate::store) fn push(
        &mut self,
        tenant: TenantId,
        account: Option<AccountId>,
        kind: &str,
        data: serde_json::Value,
    ) {
        self.push_of(trace::here(), tenant, account, kind, data);
    }

    /// Adds one that belongs to the story of a run, if that is told.
    pub(in crate::store) fn push_of(
        &mut self,
        trace: Option<String>,
        tenant: TenantId,
        account: Option<AccountId>,
        kind: &str,
        data: serde_json::Value,
    ) {
        self.tenants.push(tenant.0);
        self.accounts.push(account.map(|account| account.0));
        self.kinds.push(kind.to_owned());
        self.data.push(data);
        self.traces.push(trace);
    }

    /// Writes all of them, in order.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(in crate::store) async fn write(self, transaction: &mut PgConnection) -> Result<()> {
        if self.tenants.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO events (tenant_id, account_id, kind, data, trace)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::text[])",
            &self.tenants,
            &self.accounts as &[Option<Uuid>],
            &self.kinds,
            &self.data,
            &self.traces as &[Option<String>]
        )
        .execute(transaction)
        .await?;
        Ok(())
    }
}

/// Notifications for people (R50).
#[derive(Default)]
pub(in crate::store) struct Notices {
    ids: Vec<Uuid>,
    tenants: Vec<Uuid>,
    kinds: Vec<String>,
    reminders: Vec<Option<Uuid>>,
    names: Vec<String>,
    runs: Vec<Option<Uuid>>,
    bodies: Vec<String>,
}

/// What a notification is about.
pub(in crate::store) struct About<'a> {
    pub(in crate::store) tenant: TenantId,
    pub(in crate::store) reminder: Option<ReminderId>,
    pub(in crate::store) name: &'a str,
    pub(in crate::store) run: Option<RunId>,
}

impl Notices {
    /// Adds one.
    pub(in crate::store) fn push(&mut self, about: About<'_>, kind: Kind, body: String) {
        self.ids.push(Uuid::now_v7());
        self.tenants.push(about.tenant.0);
        self.kinds.push(kind.as_str().to_owned());
        self.reminders.push(about.reminder.map(|reminder| reminder.0));
        self.names.push(about.name.to_owned());
        self.runs.push(about.run.map(|run| run.0));
        self.bodies.push(body);
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// When the database does not do it.
    pub(in crate::store) async fn write(self, transaction: &mut PgConnection) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO notifications (id, tenant_id, kind, reminder_id, reminder_name, run_id, body)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::text[])",
            &self.ids,
            &self.tenants,
            &self.kinds,
            &self.reminders as &[Option<Uuid>],
            &self.names,
            &self.runs as &[Option<Uuid>],
            &self.bodies
        )
        .execute(transaction)
        .await?;
        Ok(())
    }
}
