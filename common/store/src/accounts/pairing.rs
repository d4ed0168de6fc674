//! SQL of `pairings`: how a pairing begins, its codes, and how it ends. Every write of a session is fenced by its
//! epoch. A trigger removes the row when the account's status is not `pending` any more.

use crate::fence::{self, Fence, fenced, hold};
use sqlx::{PgConnection, PgPool};

use crate::audit::{self, Entry, Operator};
use crate::credentials;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::messages::unsent;
use crate::retry::again;
use crate::scope::Under;
use domain::account::life::{self, State, Wanted, decide};
use domain::account::{Method, PAIRING_WINDOW_S, Status};
use domain::event::{
    AccountOnly, AccountStatusChanged, Event, Kind, SessionConnected, SessionDuplicate, SessionTimeout,
};
use domain::id::{AccountId, TenantId};

/// Begins a pairing with a new window. It replaces one that is under way.
///
/// # Errors
/// If the database fails.
pub(super) async fn begin(
    transaction: &mut PgConnection,
    account: AccountId,
    method: Method,
    phone: Option<&str>,
) -> Result<()> {
    sqlx::query!("DELETE FROM pairings WHERE account_id = $1", account.0).execute(&mut *transaction).await?;
    sqlx::query!(
        "INSERT INTO pairings (account_id, method, phone, window_ends_at) VALUES ($1, $2, $3, now() + make_interval(secs => $4))",
        account.0,
        method.as_str(),
        phone,
        f64::from(PAIRING_WINDOW_S)
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Shows a QR code: its text, its number, and how many seconds it is valid. Writes an event if the code has changed.
/// The event does not contain the code.
///
/// # Errors
/// `Fenced` under an old epoch or if no pairing is under way; otherwise if the database fails.
pub async fn show_qr(under: Under<'_>, text: &str, number: i32, for_s: f64) -> Result<()> {
    let Under { pool, fence, .. } = under;
    shown(
        fenced!(
            query_scalar,
            fence,
            r#"
            a AS (UPDATE accounts SET updated_at = now() FROM f WHERE id = f.account_id AND status = 'pending' RETURNING id, tenant_id),
            old AS (
                SELECT q.account_id AS account, q.qr_text AS shown FROM pairings q JOIN a ON a.id = q.account_id FOR UPDATE OF q
            ), p AS (
                UPDATE pairings SET qr_text = $3, qr_number = $4, qr_expires_at = now() + make_interval(secs => $5)
                FROM old WHERE account_id = old.account RETURNING account_id, qr_expires_at, old.shown
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, id, $6::text, jsonb_build_object('account_id', id,
                    'number', $4::int, 'expires_at', qr_expires_at), NULL)::new_event))
                FROM a JOIN p ON p.account_id = a.id WHERE shown IS DISTINCT FROM $3
            )
            SELECT count(*) AS "n!" FROM p, told
            "#,
            text,
            number,
            for_s,
            Kind::SessionQr.as_str()
        )
        .fetch_one(pool)
        .await?,
    )
}

/// Shows the eight-character pairing code. Writes an event if it has changed.
///
/// # Errors
/// As [`show_qr`].
pub async fn show_code(under: Under<'_>, code: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let told = Event::SessionPairingCode(AccountOnly { account_id: fence.account });
    shown(
        fenced!(
            query_scalar,
            fence,
            r#"
            a AS (UPDATE accounts SET updated_at = now() FROM f WHERE id = f.account_id AND status = 'pending' RETURNING id, tenant_id),
            old AS (
                SELECT q.account_id AS account, q.code AS shown FROM pairings q JOIN a ON a.id = q.account_id FOR UPDATE OF q
            ), p AS (
                UPDATE pairings SET code = $3 FROM old WHERE account_id = old.account RETURNING account_id, old.shown
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, id, $4::text, $5::jsonb, NULL)::new_event))
                FROM a JOIN p ON p.account_id = a.id WHERE shown IS DISTINCT FROM $3
            )
            SELECT count(*) AS "n!" FROM p, told
            "#,
            code,
            told.kind().as_str(),
            told.data()
        )
        .fetch_one(pool)
        .await?,
    )
}

/// Writes that a phone accepted the device. From now on an owner of the account logs in instead of showing codes. The
/// row stays `pending` until that login. The used code is removed.
///
/// # Errors
/// As [`show_qr`].
pub async fn accepted(under: Under<'_>, jid: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let told = Event::SessionAccepted(AccountOnly { account_id: fence.account });
    shown(
        fenced!(
            query_scalar,
            fence,
            r#"
            a AS (
                UPDATE accounts SET jid = $3, updated_at = now()
                FROM f WHERE id = f.account_id AND status = 'pending' RETURNING id, tenant_id
            ), used AS (
                UPDATE pairings SET qr_text = NULL, qr_number = NULL, qr_expires_at = NULL, code = NULL
                FROM a WHERE account_id = a.id
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, id, $4::text, $5::jsonb, NULL)::new_event)) FROM a
            )
            SELECT count(*) AS "n!" FROM a, told
            "#,
            jid,
            told.kind().as_str(),
            told.data()
        )
        .fetch_one(pool)
        .await?,
    )
}

fn shown(rows: i64) -> Result<()> {
    fence::held(rows)
}

/// Ends a pairing without a link: the codes or the window ran out, or the pairing can't go on. The account becomes
/// `unpaired`, QR code and credentials are removed, and the event `session.timeout` is written.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn give_up(under: Under<'_>, reason: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let mut tx = pool.begin().await?;
    hold(&mut tx, fence).await?;
    let before = sqlx::query!(
        r#"SELECT tenant_id AS "tenant: TenantId", label, status AS "status: Status", wanted AS "wanted: Wanted"
           FROM accounts WHERE id = $1 FOR NO KEY UPDATE"#,
        fence.account.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let state = State { status: before.status, wanted: before.wanted };
    let Some(after) = decide(state, life::Event::GivenUp)?.state() else { return Ok(()) };
    end(&mut tx, fence.account, after, reason).await?;
    credentials::forget(&mut tx, fence.account).await?;
    let (account_id, status, previous) = (fence.account, after.status, before.status);
    let timeout = SessionTimeout { account_id, status, previous, reason: reason.to_owned() };
    let changed = AccountStatusChanged { account_id, status, previous, reason: Some(reason.to_owned()) };
    let mut events = Events::default();
    events.push_of(None, before.tenant, Some(account_id), &Event::SessionTimeout(timeout));
    events.push_of(None, before.tenant, Some(account_id), &Event::AccountStatusChanged(changed));
    events.write(&mut tx).await?;
    audited(&mut tx, before.tenant, fence, &before.label, reason).await;
    tx.commit().await?;
    Ok(())
}

/// Writes that a pairing ended without a phone.
async fn end(transaction: &mut PgConnection, account: AccountId, after: State, reason: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE accounts SET status = $2, status_reason = $3, wanted = $4, updated_at = now() WHERE id = $1",
        account.0,
        after.status.as_str(),
        reason,
        after.wanted.as_str()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Writes an audit entry of the worker. An error does not make the step fail.
async fn audited(connection: &mut PgConnection, tenant: TenantId, fence: Fence, label: &str, outcome: &str) {
    let operator = Operator::System("worker");
    audit::record(connection, Entry::of_account((tenant, fence.account), label, operator, "pair").ended(outcome)).await;
}

/// The phone that was linked.
#[derive(Debug, Clone)]
pub struct LinkedAs {
    /// Its number, digits only.
    pub number: String,
    /// Its JID.
    pub jid: String,
    /// Its LID, if the server sent one.
    pub lid: Option<String>,
    /// The name that it shows.
    pub push_name: Option<String>,
}

/// The result of the first login after a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// The account is `connected`, and the number is stored.
    Connected,
    /// The phone is already linked to another account of the tenant. This account is `unpaired` again.
    Duplicate {
        /// The label of the account that keeps working.
        of: String,
    },
}

/// Writes the first login of a pairing, or ends the pairing as a duplicate: number, status, audit entry and events. If
/// the phone is another one than before, the messages and runs that were accepted for the earlier phone end first.
///
/// # Errors
/// `Fenced` under an old epoch or if nothing is being linked any more; otherwise if the database fails.
pub async fn linked(under: Under<'_>, who: &LinkedAs) -> Result<Linked> {
    let Under { pool, fence, .. } = under;
    again(|| try_linked(pool, fence, who)).await
}

/// The account that the phone is already linked to.
struct Other {
    id: AccountId,
    label: String,
}

/// Returns the text for the audit trail and the event for the result of a first login.
fn outcome(
    account_id: AccountId,
    (previous, status): (Status, Status),
    who: &LinkedAs,
    other: Option<&Other>,
) -> (String, Event) {
    match other {
        None => {
            let told = SessionConnected { account_id, status, previous, phone_number: who.number.clone() };
            ("connected".to_owned(), Event::SessionConnected(told))
        }
        Some(other) => {
            let duplicate_of = other.label.clone();
            let told = SessionDuplicate { account_id, status, previous, duplicate_of, duplicate_of_id: other.id };
            (format!("duplicate of \"{}\"", other.label), Event::SessionDuplicate(told))
        }
    }
}

/// Writes the first login of the linked phone.
async fn connect(transaction: &mut PgConnection, account: AccountId, after: State, who: &LinkedAs) -> Result<()> {
    sqlx::query!(
        "UPDATE accounts SET status = $2, status_reason = NULL, wanted = $3, phone_number = $4, jid = $5, lid = $6, push_name = $7,
            linked_at = now(), connected_at = now(), disconnected_at = NULL, banned_until = NULL, updated_at = now()
         WHERE id = $1",
        account.0,
        after.status.as_str(),
        after.wanted.as_str(),
        who.number,
        who.jid,
        who.lid,
        who.push_name
    )
    .execute(transaction)
    .await?;
    Ok(())
}

async fn try_linked(pool: &PgPool, fence: Fence, who: &LinkedAs) -> Result<Linked> {
    let mut tx = pool.begin().await?;
    let of_others = unsent::lock_of_other_phones(&mut tx, fence.account, &who.number).await?;
    hold(&mut tx, fence).await?;
    let row =
        sqlx::query!(r#"SELECT tenant_id AS "tenant: TenantId", label FROM accounts WHERE id = $1"#, fence.account.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(Error::Fenced)?;
    // two accounts of a tenant that link the same phone at the same time must see each other
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text || $2, 0))",
        row.tenant.to_string(),
        who.number
    )
    .execute(&mut *tx)
    .await?;
    let before = sqlx::query_as!(
        State,
        r#"SELECT status AS "status: Status", wanted AS "wanted: Wanted" FROM accounts WHERE id = $1 FOR NO KEY UPDATE"#,
        fence.account.0
    )
    .fetch_one(&mut *tx)
    .await?;
    let other = sqlx::query_as!(
        Other,
        r#"SELECT id AS "id: AccountId", label FROM accounts
           WHERE tenant_id = $1 AND phone_number = $2 AND id <> $3 ORDER BY created_at, id LIMIT 1"#,
        row.tenant.0,
        who.number,
        fence.account.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if other.is_none() {
        let of = (row.tenant, fence.account);
        unsent::end(&mut tx, of, &of_others, Some(&who.number), unsent::ANOTHER_PHONE).await?;
    }
    let event = if other.is_none() { life::Event::Linked } else { life::Event::Duplicate };
    let after = decide(before, event)?.state().ok_or(Error::Fenced)?;
    let (account_id, previous, status) = (fence.account, before.status, after.status);
    let (outcome, told) = outcome(account_id, (previous, status), who, other.as_ref());
    match other {
        None => connect(&mut tx, account_id, after, who).await?,
        Some(_) => end(&mut tx, account_id, after, &outcome).await?,
    }
    let reason = other.is_some().then(|| outcome.clone());
    let changed = AccountStatusChanged { account_id, status, previous, reason };
    let mut events = Events::default();
    events.push_of(None, row.tenant, Some(account_id), &told);
    events.push_of(None, row.tenant, Some(account_id), &Event::AccountStatusChanged(changed));
    events.write(&mut tx).await?;
    audited(&mut tx, row.tenant, fence, &row.label, &outcome).await;
    tx.commit().await?;
    Ok(other.map_or(Linked::Connected, |of| Linked::Duplicate { of: of.label }))
}
