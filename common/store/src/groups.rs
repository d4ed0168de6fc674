//! The groups of an account, as WhatsApp last reported them.

use crate::fence::{self, fenced};
use chrono::{DateTime, Utc};

use super::error::{Error, Result};
use super::scope::{Of, Under};
use domain::account::Status;
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::event::{Event, GroupsSynced};
use domain::id::AccountId;
use domain::job::Bell;

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its address, which a message takes as `to`.
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// The number of its members.
    pub size: i32,
    /// Whether the account may write to it.
    pub can_post: bool,
    /// When WhatsApp last reported it.
    pub synced_at: DateTime<Utc>,
}

/// A page of an account's groups, ordered by address.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn list(of: Of<'_>, account: AccountId, after: Option<&str>, limit: i64) -> Result<Vec<Group>> {
    let Of { pool: db, tenant, .. } = of;
    super::accounts::get(of, account).await?;
    let groups = sqlx::query_as!(
        Group,
        r#"
        SELECT jid, subject, size, can_post, synced_at FROM groups
        WHERE tenant_id = $1 AND account_id = $2 AND ($3::text IS NULL OR jid > $3)
        ORDER BY jid LIMIT $4
        "#,
        tenant.0,
        account.0,
        after,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(groups)
}

/// Requests that the groups are read again. The account's owner reads the row.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Conflict::NotConnected`] if no phone is linked.
pub async fn want_sync(of: Of<'_>, account: AccountId) -> Result<Committed<()>> {
    let Of { pool: db, tenant, .. } = of;
    let status = sqlx::query_scalar!(
        r#"
        WITH asked AS (
            UPDATE accounts SET groups_wanted_at = now()
            WHERE tenant_id = $1 AND id = $2 AND wanted = 'online'
              AND status IN ('pending', 'connected', 'disconnected'))
        SELECT status AS "status: Status" FROM accounts WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased'
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)?;
    if status.may_send() {
        return Ok(Committed::new(()).ring(Bell::Pair { account }));
    }
    Err(Conflict::NotConnected { first_pairing: false }.into())
}

/// A group as WhatsApp reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `…@g.us`
    pub jid: String,
    /// Its name.
    pub subject: String,
    /// The number of its members.
    pub size: i32,
    /// Whether the account may write to it.
    pub can_post: bool,
}

/// Replaces the account's groups by those that WhatsApp has just reported.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn replace(under: Under<'_>, groups: &[Facts]) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let told = Event::GroupsSynced(GroupsSynced { account_id: fence.account, groups: groups.len() });
    let jids: Vec<String> = groups.iter().map(|g| g.jid.clone()).collect();
    let subjects: Vec<String> = groups.iter().map(|g| g.subject.clone()).collect();
    let sizes: Vec<i32> = groups.iter().map(|g| g.size).collect();
    let can_post: Vec<bool> = groups.iter().map(|g| g.can_post).collect();
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        a AS (
            UPDATE accounts SET groups_synced_at = now(), groups_wanted_at = NULL
            FROM f WHERE id = f.account_id RETURNING id, tenant_id
        ), gone AS (
            DELETE FROM groups g USING a WHERE g.account_id = a.id AND g.jid <> ALL($3)
        ), here AS (
            INSERT INTO groups (tenant_id, account_id, jid, subject, size, can_post)
            SELECT a.tenant_id, a.id, t.jid, t.subject, t.size, t.can_post
            FROM a, unnest($3::text[], $4::text[], $5::int[], $6::bool[]) AS t(jid, subject, size, can_post)
            ON CONFLICT (account_id, jid) DO UPDATE
            SET subject = EXCLUDED.subject, size = EXCLUDED.size, can_post = EXCLUDED.can_post, synced_at = now()
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, id, $7::text, $8::jsonb, NULL)::new_event)) FROM a
        )
        SELECT count(*) AS "held!" FROM f, told
        "#,
        &jids,
        &subjects,
        &sizes,
        &can_post,
        told.kind().as_str(),
        told.data()
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}
