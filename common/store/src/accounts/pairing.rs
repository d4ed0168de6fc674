//! SQL of `pairings`, the pairing under way at an account: how it begins, its codes, and how it ends. Every write of a session is
//! fenced by its epoch. The row goes by itself when the account's status is not `pending` any more (a trigger).

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

/// Begins a pairing with a window of its own, in the place of one that is under way.
///
/// # Errors
/// When the database does not do it.
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

/// Shows a QR code: text, running number, and how many seconds it lives. The event is a signal and carries no code;
/// an equal code is told once.
///
/// # Errors
/// `Fenced` under an old epoch or when no pairing is under way; else when the database fails.
pub async fn show_qr(under: Under<'_>, text: &str, number: i32, for_s: f64) -> Result<()> {
    let Under { pool, fence } = under;
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

/// Shows the eight-character pairing code; an equal one is told once.
///
/// # Errors
/// As [`show_qr`].
pub async fn show_code(under: Under<'_>, code: &str) -> Result<()> {
    let Under { pool, fence } = under;
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

/// Notes that a phone accepted the device: whoever owns the account next logs in instead of showing codes. The row
/// stays `pending` until that login; the code that was shown is used up.
///
/// # Errors
/// As [`show_qr`].
pub async fn accepted(under: Under<'_>, jid: &str) -> Result<()> {
    let Under { pool, fence } = under;
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

/// Ends a pairing without a link: codes or window ran out, or it can't go on. Status `unpaired`, QR and credentials
/// cleared, event `session.timeout`.
///
/// # Errors
/// `Fenced` under an old epoch; else when the database fails.
pub async fn give_up(under: Under<'_>, reason: &str) -> Result<()> {
    let Under { pool, fence } = under;
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

/// Writes that a pairing is over without a phone.
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

/// An audit row of the worker's; one that can't be written never strands the step.
async fn audited(connection: &mut PgConnection, tenant: TenantId, fence: Fence, label: &str, outcome: &str) {
    let operator = Operator::System("worker");
    audit::record(connection, Entry::of_account((tenant, fence.account), label, operator, "pair").ended(outcome)).await;
}

/// Who was linked.
#[derive(Debug, Clone)]
pub struct LinkedAs {
    /// Digits of the phone.
    pub number: String,
    /// Its JID.
    pub jid: String,
    /// Its LID, where the server told one.
    pub lid: Option<String>,
    /// The name it shows.
    pub push_name: Option<String>,
}

/// How a first connection after a scan ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// Status `connected`, number stored.
    Connected,
    /// The phone is linked to another account of the tenant already: this one is `unpaired` again.
    Duplicate {
        /// The label of the account that keeps working.
        of: String,
    },
}

/// Writes the first connection of a pairing, or ends it as a duplicate: number, status, audit and events. What was
/// accepted for another phone ends before.
///
/// # Errors
/// `Fenced` under an old epoch or when nothing is being linked any more; else when the database fails.
pub async fn linked(under: Under<'_>, who: &LinkedAs) -> Result<Linked> {
    let Under { pool, fence } = under;
    again(|| try_linked(pool, fence, who)).await
}

/// The account that the phone is linked to already.
struct Other {
    id: AccountId,
    label: String,
}

/// How a first connection ended: in words for the audit trail, and what is told.
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

/// Writes the first connection of the phone that was linked.
async fn connect(transaction: &mut PgConnection, account: AccountId, after: State, who: &LinkedAs) -> Result<()> {
    sqlx::query!(
        "UPDATE accounts SET status = $2, status_reason = NULL, wanted = $3, phone_number = $4, jid = $5, lid = $6, push_name = $7,
            linked_at = coalesce(linked_at, now()), connected_at = now(), disconnected_at = NULL, updated_at = now()
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
    let row = sqlx::query!(
        r#"SELECT tenant_id AS "tenant: TenantId", label, status AS "status: Status", wanted AS "wanted: Wanted"
           FROM accounts WHERE id = $1"#,
        fence.account.0
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(Error::Fenced)?;
    // two accounts of a tenant that link one phone at the same instant must see each other
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1::text || $2, 0))",
        row.tenant.to_string(),
        who.number
    )
    .execute(&mut *tx)
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
    let before = State { status: row.status, wanted: row.wanted };
    let after = decide(before, event)?.state().ok_or(Error::Fenced)?;
    let (account_id, previous, status) = (fence.account, row.status, after.status);
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
