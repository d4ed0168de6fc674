//! Notifications for people about reminders, written as one statement.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::id::{ReminderId, RunId, TenantId};
use crate::run::notice::Kind;
use crate::store::Result;

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
