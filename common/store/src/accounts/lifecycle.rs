//! Pairing, unpairing and logging out. Each is one transaction.

use sqlx::{Connection as _, PgConnection, PgPool};

use super::dependents::{lock_dependents, told};
use super::pairing;
use super::row::{self, Pairing, lock};
use crate::audit::{self, Entry, Operator};
use crate::credentials::forget;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::fence::{Fence, hold};
use crate::leases::own::{lock_lease, raise};
use crate::messages::unsent;
use crate::retry::again;
use crate::scope::{Of, Within};
use domain::account::life::{Event, State, Wanted, decide};
use domain::account::{Method, Status};
use domain::committed::Committed;
use domain::event::{self, AccountStatusChanged};
use domain::id::{AccountId, TenantId};
use domain::job::Bell;

/// The result of an unpair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpaired {
    /// Whether nothing was linked or live.
    pub already_disconnected: bool,
    /// Whether a phone had accepted the device. The phone goes on listing it.
    pub listed: bool,
}

/// Starts a pairing, or starts it again: with a new generation and a new window. A trigger removes what was stored of
/// an earlier phone. So the owner of the account shows a code next.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Error::Conflict`] while it is connected.
pub async fn pair(
    of: impl Into<Within<'_>>,
    account: AccountId,
    (method, phone): (Method, Option<&str>),
    operator: Operator,
) -> Result<Committed<Pairing>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let mut transaction = db.begin().await?;
    // each attempt has its own epoch, so that events of an earlier attempt can't reach it
    raise(&mut transaction, tenant, account).await?;
    let before = lock(&mut transaction, tenant, account).await?;
    let after = decide(before.state(), Event::Pair)?.state().ok_or(Error::NotFound)?;
    forget(&mut transaction, account).await?;
    sqlx::query!(
        "UPDATE accounts SET status = $2, status_reason = NULL, wanted = $3, generation = generation + 1, updated_at = now()
         WHERE id = $1",
        account.0,
        after.status.as_str(),
        after.wanted.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    pairing::begin(&mut transaction, account, method, phone).await?;
    tell_status(&mut transaction, (tenant, account), (before.status, after.status), None).await?;
    audit::record(&mut transaction, Entry::of_account((tenant, account), &before.label, operator, "pair")).await;
    let pairing = row::pairing(Within::of(&mut transaction, tenant), account).await?;
    transaction.commit().await?;
    Ok(Committed::new(pairing).ring(Bell::Pair { account }).signal([tenant]))
}

/// Unpairs from any state. When this returns, the session that held the socket is fenced and the credentials are gone.
/// The row, its groups and its reminders stay. Queued messages and unfinished runs end, because they were meant for
/// this phone. WhatsApp is not told.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn unpair(of: Of<'_>, account: AccountId, operator: Operator) -> Result<Committed<Unpaired>> {
    let Of { pool: db, tenant, .. } = of;
    again(|| try_unpair(db, tenant, account, operator)).await
}

async fn try_unpair(
    db: &PgPool,
    tenant: TenantId,
    account: AccountId,
    operator: Operator,
) -> Result<Committed<Unpaired>> {
    let mut transaction = db.begin().await?;
    let open = lock_dependents(&mut transaction, tenant, account).await?;
    raise(&mut transaction, tenant, account).await?;
    let before = lock(&mut transaction, tenant, account).await?;
    unsent::end(&mut transaction, (tenant, account), &open, None, unsent::UNPAIRED).await?;
    let scrubbed = forget(&mut transaction, account).await?;
    let after = decide(before.state(), Event::Unpair)?.state().ok_or(Error::NotFound)?;
    unlink(&mut transaction, (tenant, account), (before.status, after), None, false).await?;
    let already_disconnected = !scrubbed && !before.status.is_live();
    let outcome = if already_disconnected { "already_disconnected" } else { "ok" };
    audit::record(
        &mut transaction,
        Entry::of_account((tenant, account), &before.label, operator, "unpair").ended(outcome),
    )
    .await;
    transaction.commit().await?;
    let unpaired = Unpaired { already_disconnected, listed: before.listed };
    Ok(told(unpaired, tenant, account))
}

/// Starts to log an account's device out on WhatsApp's side. Queued messages and unfinished runs end now, and nothing
/// is sent from now on. [`super::row::logout_confirmed`] returns the result later. Returns false if there is nothing to
/// log out; then the account was unpaired at once.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account.
pub async fn log_out(of: Of<'_>, account: AccountId, operator: Operator) -> Result<Committed<bool>> {
    let Of { pool: db, tenant, .. } = of;
    let is_asked = again(|| try_log_out(db, tenant, account, operator)).await?;
    if !is_asked {
        unpair(of, account, operator).await?.quietly(); // the bell and the signal below are the same
    }
    Ok(told(is_asked, tenant, account))
}

async fn try_log_out(db: &PgPool, tenant: TenantId, account: AccountId, operator: Operator) -> Result<bool> {
    let mut transaction = db.begin().await?;
    let open = lock_dependents(&mut transaction, tenant, account).await?;
    lock_lease(&mut transaction, account).await?;
    let before = lock(&mut transaction, tenant, account).await?;
    let after = decide(before.state(), Event::LogOut { linked: before.linked })?.state().ok_or(Error::NotFound)?;
    if after.wanted != Wanted::Unlinked {
        return Ok(false); // nothing is linked
    }
    sqlx::query!(
        "UPDATE accounts SET wanted = $2, logout_confirmed = false, updated_at = now() WHERE id = $1",
        account.0,
        after.wanted.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    unsent::end(&mut transaction, (tenant, account), &open, None, unsent::LOGGED_OUT).await?;
    let entry = Entry::of_account((tenant, account), &before.label, operator, "logout").ended("asked");
    audit::record(&mut transaction, entry).await;
    transaction.commit().await?;
    Ok(true)
}

/// Ends a logout: the account's owner has logged the device out, or has given that up. Does nothing if the account is
/// not wanted `unlinked` any more.
///
/// # Errors
/// [`Error::Fenced`] under an old epoch; otherwise if the database fails.
pub async fn unlinked(of: Of<'_>, fence: Fence, confirmed: bool) -> Result<()> {
    let Of { pool: db, tenant, .. } = of;
    again(|| try_unlinked(db, tenant, fence, confirmed)).await
}

async fn try_unlinked(db: &PgPool, tenant: TenantId, under: Fence, confirmed: bool) -> Result<()> {
    let mut transaction = db.begin().await?;
    let account = under.account;
    let open = lock_dependents(&mut transaction, tenant, account).await?;
    hold(&mut transaction, under).await?;
    let before = match lock(&mut transaction, tenant, account).await {
        Err(Error::NotFound) => return Ok(()), // it is being deleted
        before => before?,
    };
    let Some(after) = decide(before.state(), Event::LogOutOver)?.state() else { return Ok(()) };
    unsent::end(&mut transaction, (tenant, account), &open, None, unsent::LOGGED_OUT).await?;
    forget(&mut transaction, account).await?;
    let (reason, outcome) = if confirmed {
        ("logged out: WhatsApp has removed the device", "confirmed")
    } else {
        ("logged out here: WhatsApp did not confirm it, so the phone may still list the device", "not_confirmed")
    };
    unlink(&mut transaction, (tenant, account), (before.status, after), Some(reason), confirmed).await?;
    let operator = Operator::System("worker");
    let entry = Entry::of_account((tenant, account), &before.label, operator, "logout").ended(outcome);
    audit::record(&mut transaction, entry).await;
    transaction.commit().await?;
    Ok(())
}

/// Writes that no phone is linked any more. Writes an event if the status changes. Triggers remove what was stored of
/// the phone, and the pairing.
async fn unlink(
    transaction: &mut PgConnection,
    (tenant, account): (TenantId, AccountId),
    (before, after): (Status, State),
    reason: Option<&str>,
    confirmed: bool,
) -> Result<()> {
    sqlx::query!(
        "UPDATE accounts SET status = $4, status_reason = $2, wanted = $5, generation = generation + 1,
            logout_confirmed = $3, disconnected_at = coalesce(disconnected_at, now()), updated_at = now()
         WHERE id = $1",
        account.0,
        reason,
        confirmed,
        after.status.as_str(),
        after.wanted.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    if before != after.status {
        let change = (before, after.status);
        tell_status(transaction, (tenant, account), change, Some(reason.unwrap_or("unpaired"))).await?;
    }
    Ok(())
}

async fn tell_status(
    transaction: &mut PgConnection,
    (tenant, account): (TenantId, AccountId),
    (previous, status): (Status, Status),
    reason: Option<&str>,
) -> Result<()> {
    let reason = reason.map(str::to_owned);
    let changed = AccountStatusChanged { account_id: account, status, previous, reason };
    let changed = event::Event::AccountStatusChanged(changed);
    Events::one(tenant, Some(account), &changed).write(transaction).await
}
