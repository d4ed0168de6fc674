//! Writes notifications about reminders as one statement.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::Result;
use domain::id::{ReminderId, RunId, TenantId};
use domain::run::notice::Kind;

/// Notifications to be written.
#[derive(Default)]
pub(crate) struct Notices {
    ids: Vec<Uuid>,
    tenants: Vec<Uuid>,
    kinds: Vec<String>,
    reminders: Vec<Option<Uuid>>,
    names: Vec<String>,
    runs: Vec<Option<Uuid>>,
    bodies: Vec<String>,
}

/// The subject of a notification.
pub(crate) struct About<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) reminder: Option<ReminderId>,
    pub(crate) name: &'a str,
    pub(crate) run: Option<RunId>,
}

impl Notices {
    /// Adds a notification.
    pub(crate) fn push(&mut self, about: About<'_>, kind: Kind, body: String) {
        self.ids.push(Uuid::now_v7());
        self.tenants.push(about.tenant.0);
        self.kinds.push(kind.as_str().to_owned());
        self.reminders.push(about.reminder.map(|reminder| reminder.0));
        self.names.push(about.name.to_owned());
        self.runs.push(about.run.map(|run| run.0));
        self.bodies.push(body);
    }

    /// Writes all notifications.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn write(self, transaction: &mut PgConnection) -> Result<()> {
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
