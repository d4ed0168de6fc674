//! The counts on a tenant's dashboard.

use super::error::Result;
use super::scope::Of;
use domain::account;
use domain::reminder::life;

/// Counts of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The number of accounts by status, for statuses that occur.
    pub accounts: Vec<(account::Status, i64)>,
    /// The number of reminders by status, for statuses that occur.
    pub reminders: Vec<(life::Status, i64)>,
    /// The number of unread notifications.
    pub unread: i64,
}

/// Counts a tenant's accounts, reminders and unread notifications.
///
/// # Errors
/// If the database fails.
pub async fn counts(of: Of<'_>) -> Result<Counts> {
    let Of { pool: db, tenant, .. } = of;
    let accounts = sqlx::query!(
        r#"SELECT s.status AS "status!: account::Status", count(*) AS "count!"
           FROM accounts a JOIN account_states s ON s.id = a.id
           WHERE tenant_id = $1 AND wanted <> 'erased' GROUP BY s.status"#,
        tenant.0
    )
    .fetch_all(db)
    .await?;
    let reminders = sqlx::query!(
        r#"SELECT r.status AS "status: life::Status", count(*) AS "count!"
           FROM reminders r JOIN accounts a ON a.id = r.account_id
           WHERE r.tenant_id = $1 AND a.wanted <> 'erased' GROUP BY r.status"#,
        tenant.0
    )
    .fetch_all(db)
    .await?;
    let unread = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM notifications WHERE tenant_id = $1 AND read_at IS NULL"#,
        tenant.0
    )
    .fetch_one(db)
    .await?;
    Ok(Counts {
        accounts: accounts.into_iter().map(|row| (row.status, row.count)).collect(),
        reminders: reminders.into_iter().map(|row| (row.status, row.count)).collect(),
        unread,
    })
}
