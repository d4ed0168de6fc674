//! Accounts as their tenant sees them: add, list, read, rename.

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
    /// What people call it.
    pub label: String,
    /// What it is right now.
    pub status: Status,
    /// Why it is so, where there is more to say.
    pub status_reason: Option<String>,
    /// The linked phone's digits; null while nothing is linked.
    pub phone_number: Option<String>,
    /// The linked device's address.
    pub jid: Option<String>,
    /// The phone's hidden id, where WhatsApp told it.
    pub lid: Option<String>,
    /// The name that the phone's owner chose.
    pub push_name: Option<String>,
    /// When a phone was last linked; kept after an unpair.
    pub linked_at: Option<DateTime<Utc>>,
    /// When its socket last opened.
    pub connected_at: Option<DateTime<Utc>>,
    /// When its socket last closed.
    pub disconnected_at: Option<DateTime<Utc>>,
    /// Until when a temporary ban lasts.
    pub banned_until: Option<DateTime<Utc>>,
    /// Until when WhatsApp holds back messages to people who never wrote; they wait meanwhile.
    pub held_until: Option<DateTime<Utc>>,
    /// When the groups were last read.
    pub groups_synced_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// What a pairing under way waits for.
    pub step: Option<Step>,
    /// What the phone's owner must do for it.
    pub advice: Option<String>,
}

/// The pairing under way at an account.
#[derive(Clone)]
pub struct Pairing {
    /// What the account is right now: `pending` while a pairing is under way.
    pub status: Status,
    /// How the phone is linked; null when no pairing is under way.
    pub method: Option<Method>,
    /// What it waits for; null when no pairing is under way, or a phone has accepted.
    pub step: Option<Step>,
    /// At step `passkey`: what the phone's owner must do, for a person.
    pub advice: Option<String>,
    /// At step `passkey`, until it was presented: the WebAuthn request options for the account's passkey, as WhatsApp sent
    /// them. The credential goes to `pair/passkey`.
    pub passkey_options: Option<serde_json::Value>,
    /// At step `passkey`, after it was presented: the code that the phone must show, too. Say so at `pair/passkey/confirm`.
    pub passkey_code: Option<String>,
    /// When the pairing ends if no phone was linked by then.
    pub window_ends_at: Option<DateTime<Utc>>,
    /// The present QR code's number within this pairing, from 1.
    pub qr_number: Option<i32>,
    /// When the present QR code stops working.
    pub qr_expires_at: Option<DateTime<Utc>>,
    /// The eight characters to type on the phone, once WhatsApp gave them.
    pub code: Option<String>,
    /// What the present QR code says; fetched from its own route.
    pub qr_text: Option<String>,
}

/// Adds an account: unpaired, with nothing but a label.
///
/// # Errors
/// When the database does not do it; [`Error::NotFound`] when the tenant is gone.
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
/// [`Error::NotFound`] when the tenant has no such account.
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

/// A page of a tenant's accounts in the order in which they were added, whatever they are called.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    of: Of<'_>,
    status: Option<Status>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Account>> {
    let Of { pool: db, tenant } = of;
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
/// [`Error::NotFound`] when the tenant has no such account.
pub async fn rename(of: Of<'_>, account: AccountId, label: &str, operator: Operator) -> Result<Account> {
    let Of { pool: db, tenant } = of;
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

/// The pairing under way.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such account.
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

/// What came of a logout: whether WhatsApp confirmed it; `None` while it is under way.
///
/// # Errors
/// [`Error::NotFound`] when the tenant has no such account.
pub async fn logout_confirmed(of: Of<'_>, account: AccountId) -> Result<Option<bool>> {
    let Of { pool: db, tenant } = of;
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

/// An account as a change finds it.
pub(super) struct Before {
    pub(super) label: String,
    pub(super) status: Status,
    pub(super) wanted: Wanted,
    /// A phone has accepted its device, and goes on listing it.
    pub(super) listed: bool,
    /// A phone has accepted its device, and the credentials are here.
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
