//! Accounts as their tenant sees them: create, list, read, rename.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::audit::{self, Entry, Operator};
use crate::error::{Error, Result};
use crate::leases;
use crate::scope::{Of, Within};
use domain::account::life::{State, Wanted};
use domain::account::{Method, Status, Step};
use domain::id::{AccountId, TenantId};

/// A WhatsApp account as its tenant sees it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The name that people gave it.
    pub label: String,
    /// Its current status.
    pub status: Status,
    /// The reason for the status, if there is more to say.
    pub status_reason: Option<String>,
    /// The number of the linked phone, digits only; `None` if nothing is linked.
    pub phone_number: Option<String>,
    /// The linked device's address.
    pub jid: Option<String>,
    /// The phone's hidden id, if WhatsApp sent one.
    pub lid: Option<String>,
    /// The name that the phone's owner chose.
    pub push_name: Option<String>,
    /// When a phone was last linked. It is kept after an unpair.
    pub linked_at: Option<DateTime<Utc>>,
    /// When it was last connected.
    pub connected_at: Option<DateTime<Utc>>,
    /// When its connection ended; `None` while it is connected.
    pub disconnected_at: Option<DateTime<Utc>>,
    /// When a temporary ban ends.
    pub banned_until: Option<DateTime<Utc>>,
    /// Until when WhatsApp rejects messages to people who never wrote to the account. Its messages wait meanwhile.
    pub held_until: Option<DateTime<Utc>>,
    /// When the groups were last read.
    pub groups_synced_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// What the pairing waits for, if one is under way.
    pub step: Option<Step>,
    /// What the phone's owner must do for the pairing.
    pub advice: Option<String>,
}

/// The pairing of an account.
#[derive(Clone)]
pub struct Pairing {
    /// The account's status: `pending` while a pairing is under way.
    pub status: Status,
    /// How the phone is linked; `None` if no pairing is under way.
    pub method: Option<Method>,
    /// What it waits for; `None` if no pairing is under way, or a phone has accepted.
    pub step: Option<Step>,
    /// At step `passkey`: what the phone's owner must do, in words.
    pub advice: Option<String>,
    /// At step `passkey`, until the passkey was presented: the WebAuthn request options as WhatsApp sent them. The
    /// credential is sent to `pair/passkey`.
    pub passkey_options: Option<serde_json::Value>,
    /// At step `passkey`, after the passkey was presented: the code that the phone must show as well. The owner
    /// confirms it at `pair/passkey/confirm`.
    pub passkey_code: Option<String>,
    /// When the pairing ends if no phone is linked until then.
    pub window_ends_at: Option<DateTime<Utc>>,
    /// The number of the current QR code within this pairing, from 1.
    pub qr_number: Option<i32>,
    /// When the current QR code expires.
    pub qr_expires_at: Option<DateTime<Utc>>,
    /// The eight characters to type on the phone, once WhatsApp has sent them.
    pub code: Option<String>,
    /// The content of the current QR code. It has a route of its own.
    pub qr_text: Option<String>,
}

/// Creates an account: unpaired, with only a label.
///
/// # Errors
/// [`Error::NotFound`] if the tenant does not exist.
pub async fn create(of: impl Into<Within<'_>>, label: &str, operator: Operator) -> Result<Account> {
    let (mut db, tenant) = of.into().acquire().await?;
    let mut transaction = db.begin().await?;
    let account = AccountId::new();
    let created = sqlx::query!(
        "INSERT INTO accounts (id, tenant_id, label) SELECT $1, $2, $3 WHERE EXISTS (SELECT FROM tenants WHERE id = $2)",
        account.0,
        tenant.0,
        label
    )
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    leases::own::create(&mut transaction, account).await?;
    audit::record(&mut transaction, Entry::of_account((tenant, account), label, operator, "create")).await;
    let created = get(Within::of(&mut transaction, tenant), account).await?;
    transaction.commit().await?;
    Ok(created)
}

/// One account.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn get(of: impl Into<Within<'_>>, account: AccountId) -> Result<Account> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query_as!(
        Account,
        r#"
        SELECT a.id AS "id: AccountId", label, s.status AS "status!: Status", s.status_reason, phone_number, jid, lid, push_name,
            linked_at, connected_at, disconnected_at, banned_until, held_until, groups_synced_at, created_at, updated_at,
            w.step AS "step: Step", w.advice
        FROM accounts a JOIN account_states s ON s.id = a.id LEFT JOIN pairing_steps w ON w.account_id = a.id
        WHERE tenant_id = $1 AND a.id = $2 AND wanted <> 'erased'
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Error::NotFound)
}

/// A page of a tenant's accounts, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    of: Of<'_>,
    status: Option<Status>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Account>> {
    let Of { pool: db, tenant, .. } = of;
    let (at, id) = after.unzip();
    let accounts = sqlx::query_as!(
        Account,
        r#"
        SELECT a.id AS "id: AccountId", label, s.status AS "status!: Status", s.status_reason, phone_number, jid, lid, push_name,
            linked_at, connected_at, disconnected_at, banned_until, held_until, groups_synced_at, created_at, updated_at,
            w.step AS "step: Step", w.advice
        FROM accounts a JOIN account_states s ON s.id = a.id LEFT JOIN pairing_steps w ON w.account_id = a.id
        WHERE tenant_id = $1 AND wanted <> 'erased' AND ($2::text IS NULL OR s.status = $2)
          AND ($3::timestamptz IS NULL OR (created_at, a.id) > ($3, $4::uuid))
        ORDER BY created_at, a.id LIMIT $5
        "#,
        tenant.0,
        status.map(Status::as_str),
        at,
        id,
        limit
    )
    .fetch_all(db)
    .await?;
    Ok(accounts)
}

/// Changes an account's label.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn rename(of: Of<'_>, account: AccountId, label: &str, operator: Operator) -> Result<Account> {
    let Of { pool: db, tenant, .. } = of;
    let mut transaction = db.begin().await?;
    lock(&mut transaction, tenant, account).await?;
    sqlx::query!("UPDATE accounts SET label = $2, updated_at = now() WHERE id = $1", account.0, label)
        .execute(&mut *transaction)
        .await?;
    audit::record(&mut transaction, Entry::of_account((tenant, account), label, operator, "rename")).await;
    let renamed = get(Within::of(&mut transaction, tenant), account).await?;
    transaction.commit().await?;
    Ok(renamed)
}

/// The state of an account's pairing.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn pairing(of: impl Into<Within<'_>>, account: AccountId) -> Result<Pairing> {
    let (mut db, tenant) = of.into().acquire().await?;
    sqlx::query_as!(
        Pairing,
        r#"
        SELECT a.status AS "status: Status", p.method AS "method?: Method", p.window_ends_at AS "window_ends_at?",
            CASE WHEN p.qr_expires_at > now() THEN p.qr_number END AS qr_number,
            CASE WHEN p.qr_expires_at > now() THEN p.qr_expires_at END AS qr_expires_at,
            CASE WHEN p.qr_expires_at > now() THEN p.qr_text END AS qr_text,
            CASE WHEN p.window_ends_at > now() THEN p.code END AS code,
            w.step AS "step: Step", w.advice, w.passkey_options, w.passkey_code
        FROM accounts a LEFT JOIN pairings p ON p.account_id = a.id LEFT JOIN pairing_steps w ON w.account_id = a.id
        WHERE a.tenant_id = $1 AND a.id = $2 AND a.wanted <> 'erased'
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Error::NotFound)
}

/// The result of a logout: whether WhatsApp confirmed it; `None` while it is under way.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn logout_confirmed(of: Of<'_>, account: AccountId) -> Result<Option<bool>> {
    let Of { pool: db, tenant, .. } = of;
    let row = sqlx::query!(
        "SELECT wanted, logout_confirmed FROM accounts WHERE tenant_id = $1 AND id = $2 AND wanted <> 'erased'",
        tenant.0,
        account.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound)?;
    Ok(Some(row.logout_confirmed).filter(|_| row.wanted != "unlinked"))
}

/// An account's row before a change.
pub(super) struct Before {
    pub(super) label: String,
    pub(super) status: Status,
    pub(super) wanted: Wanted,
    /// Whether a phone has accepted the device. The phone goes on listing it.
    pub(super) listed: bool,
    /// Whether a phone has accepted the device and its credentials are stored.
    pub(super) linked: bool,
}

impl Before {
    pub(super) const fn state(&self) -> State {
        State { status: self.status, wanted: self.wanted }
    }
}

/// Locks an account's row for a change.
pub(super) async fn lock(transaction: &mut PgConnection, tenant: TenantId, account: AccountId) -> Result<Before> {
    sqlx::query_as!(
        Before,
        r#"
        SELECT label, s.status AS "status!: Status", wanted AS "wanted: Wanted", jid IS NOT NULL AS "listed!",
            jid IS NOT NULL AND EXISTS (SELECT FROM credentials WHERE account_id = $2) AS "linked!"
        FROM accounts a JOIN account_states s ON s.id = a.id
        WHERE tenant_id = $1 AND a.id = $2 AND wanted <> 'erased' FOR NO KEY UPDATE OF a
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(transaction)
    .await?
    .ok_or(Error::NotFound)
}
