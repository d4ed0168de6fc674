//! SQL of an account's live session: the row it starts from, and its status changes. Every write is fenced.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::batched::{Batch, answers};
use crate::error::{Error, Result};
use crate::fence::{self, Fence, Fences, fenced, fenced_each};
use crate::scope::Under;
use domain::account::life::{Wanted, wanted_after};
use domain::account::{Method, Status};
use domain::event::{Event, Kind, SessionRecovered, SessionUnstable};
use domain::id::TenantId;

/// What a session needs to know of its account.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The account's tenant.
    pub tenant: TenantId,
    /// The label. The phone shows it in its list of linked devices.
    pub label: String,
    /// The wanted state.
    pub wanted: Wanted,
    /// The current status.
    pub status: Status,
    /// The number of the attempt to pair.
    pub generation: i64,
    /// How the phone is linked, while a pairing is under way.
    pub pairing_method: Option<Method>,
    /// The phone number for pairing by code.
    pub pairing_phone: Option<String>,
    /// The number of the linked phone.
    pub phone_number: Option<String>,
    /// When a sync of the groups was requested.
    pub groups_wanted_at: Option<DateTime<Utc>>,
    /// How many seconds nothing is to be sent (reach-out time-lock), by the database's clock; zero or less means none.
    pub held_left_s: f64,
    /// Whether the row has a QR code or a pairing code.
    pub code_shown: bool,
    /// Whether a phone has accepted the stored credentials.
    pub registered: bool,
    /// Whether the phone's owner has answered WhatsApp's demand for a passkey and no session has taken the answer yet.
    pub passkey_answered: bool,
    /// The rest of the pairing window in seconds, by the database's clock; zero or less if it is over.
    pub window_left_s: f64,
    /// The rest of a temporary ban in seconds, by the database's clock; zero or less if there is none.
    pub banned_left_s: f64,
    /// The current epoch.
    pub epoch: i64,
}

/// Reads the account under a claim.
///
/// # Errors
/// `Fenced` if the account is gone or has a newer epoch; otherwise if the database fails.
pub async fn load(under: Under<'_>) -> Result<SessionRow> {
    let Under { pool, fence, .. } = under;
    let row = sqlx::query_as!(
        SessionRow,
        r#"
        SELECT a.tenant_id AS "tenant: TenantId", a.label, a.wanted AS "wanted: Wanted", a.status AS "status: Status",
               a.generation, p.method AS "pairing_method?: Method", p.phone AS "pairing_phone?", a.phone_number, a.groups_wanted_at,
               (p.qr_text IS NOT NULL OR p.code IS NOT NULL) AS "code_shown!",
               coalesce(extract(epoch FROM a.held_until - now()), 0)::float8 AS "held_left_s!",
               (a.jid IS NOT NULL AND EXISTS (SELECT 1 FROM credentials c WHERE c.account_id = a.id)) AS "registered!",
               coalesce(extract(epoch FROM p.window_ends_at - now()), 0)::float8 AS "window_left_s!", l.epoch,
               coalesce(extract(epoch FROM a.banned_until - now()), 0)::float8 AS "banned_left_s!",
               EXISTS (SELECT 1 FROM passkeys k WHERE k.account_id = a.id AND k.epoch = l.epoch
                       AND (k.credential IS NOT NULL OR k.confirmed)) AS "passkey_answered!"
        FROM accounts a JOIN leases l ON l.account_id = a.id LEFT JOIN pairings p ON p.account_id = a.id
        WHERE a.id = $1
        "#,
        fence.account.0
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::Fenced)?;
    if row.epoch == fence.epoch { Ok(row) } else { Err(Error::Fenced) }
}

/// A status change that a session wants to write.
#[derive(Debug, Clone)]
pub struct StatusChange {
    /// The new status; never `pending`, which only a request to pair sets.
    pub status: Status,
    /// The reason, for a person.
    pub reason: Option<String>,
    /// How long a temporary ban lasts from now, in seconds.
    pub banned_for_s: Option<f64>,
}

/// Writes the status change of a session, with its event. A pairing that is under way ends. With `unpaired` and
/// `logged_out`, what was stored of the phone is removed, and the account is not wanted online any more.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if it can't be stored.
pub async fn write_status(under: Under<'_>, change: StatusChange) -> Result<()> {
    let Under { batches, fence, .. } = under;
    batches.call::<Statuses>(fence, change).await
}

/// Status changes of many sessions, written in one statement.
struct Statuses;

impl Batch for Statuses {
    type Right = Fence;
    type Means = PgPool;
    type Call = StatusChange;
    type Done = ();

    const WHAT: &'static str = "statuses";

    fn rows(_change: &StatusChange) -> usize {
        1
    }

    fn one_per_account() -> bool {
        true // one statement can't change a row twice
    }

    async fn run(pool: &PgPool, changes: &[(Fence, StatusChange)]) -> Result<Vec<Result<()>>> {
        let ids: Vec<Uuid> = changes.iter().map(|(fence, _)| fence.account.0).collect();
        let statuses: Vec<String> = changes.iter().map(|(_, c)| c.status.as_str().to_owned()).collect();
        let reasons: Vec<Option<String>> = changes.iter().map(|(_, c)| c.reason.clone()).collect();
        let banned: Vec<Option<f64>> = changes.iter().map(|(_, c)| c.banned_for_s).collect();
        let open: Vec<bool> = changes.iter().map(|(_, c)| c.status == Status::Connected).collect();
        // for accounts that are wanted online; the statement leaves other wanted states as they are
        let wanted: Vec<String> =
            changes.iter().map(|(_, c)| wanted_after(c.status, Wanted::Online).as_str().to_owned()).collect();
        let fences = Fences::of(changes);
        let held = fenced_each!(
            query_scalar,
            fences,
            r#"
            w AS (
                SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::float8[], $7::bool[], $8::text[])
                    AS t(account_id, status, reason, banned_for_s, open, wanted)
            ), old AS (
                SELECT a.id, a.status FROM accounts a JOIN f ON f.account_id = a.id ORDER BY a.id FOR UPDATE OF a
            ), changed AS (
                UPDATE accounts a SET
                    status = w.status,
                    status_reason = w.reason,
                    wanted = CASE WHEN a.wanted = $9 THEN w.wanted ELSE a.wanted END,
                    connected_at = CASE WHEN w.open AND a.status <> w.status THEN now() ELSE a.connected_at END,
                    disconnected_at = CASE WHEN w.open THEN NULL ELSE coalesce(a.disconnected_at, now()) END,
                    banned_until = now() + make_interval(secs => w.banned_for_s),
                    updated_at = now()
                FROM w, old
                WHERE a.id = w.account_id AND old.id = a.id
                  AND (a.status <> w.status OR a.status_reason IS DISTINCT FROM w.reason OR w.banned_for_s IS NOT NULL)
                RETURNING a.id, a.tenant_id, a.status, old.status AS previous, a.status_reason
            ), told AS (
                SELECT write_events(array_agg(ROW(tenant_id, id, $10::text, jsonb_build_object('account_id', id,
                    'status', status, 'previous', previous, 'reason', status_reason), NULL)::new_event))
                FROM changed WHERE status <> previous
            )
            SELECT account_id AS "account_id!" FROM f, told
            "#,
            &ids,
            &statuses,
            &reasons as &[Option<String>],
            &banned as &[Option<f64>],
            &open,
            &wanted,
            Wanted::Online.as_str(),
            Kind::AccountStatusChanged.as_str()
        )
        .fetch_all(pool)
        .await?;
        Ok(answers(changes, held.into_iter().map(|account| (account, ())).collect()))
    }
}

/// Writes that the account is held (WhatsApp error 463, the reach-out time-lock): its messages wait, and none fails.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn hold(under: Under<'_>, for_s: f64) -> Result<DateTime<Utc>> {
    let Under { pool, fence, .. } = under;
    fenced!(
        query_scalar,
        fence,
        r#"
        held AS (
            UPDATE accounts a SET held_until = now() + make_interval(secs => $3), updated_at = now()
            FROM f WHERE a.id = f.account_id RETURNING a.id, a.tenant_id, a.held_until
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, id, $4::text, jsonb_build_object('account_id', id,
                'held_until', held_until), NULL)::new_event)) FROM held
        )
        SELECT held_until AS "held_until!" FROM held, told
        "#,
        for_s,
        Kind::AccountHeld.as_str()
    )
    .fetch_optional(pool)
    .await?
    .ok_or(Error::Fenced)
}

/// Writes the event `session.unstable`: the account was restarted `restarts` times in a row.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn unstable(under: Under<'_>, restarts: u32, reason: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let unstable = SessionUnstable { account_id: fence.account, restarts, reason: reason.to_owned() };
    note(pool, fence, &Event::SessionUnstable(unstable)).await
}

/// Writes the event `session.recovered`: the account is steady after `restarts` restarts in a row.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn recovered(under: Under<'_>, restarts: u32) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let recovered = SessionRecovered { account_id: fence.account, restarts };
    note(pool, fence, &Event::SessionRecovered(recovered)).await
}

/// Writes one event under the fence.
async fn note(pool: &PgPool, fence: Fence, event: &Event) -> Result<()> {
    let held = fenced!(
        query_scalar,
        fence,
        r#"
        told AS (
            SELECT write_events(array_agg(ROW(a.tenant_id, a.id, $3::text, $4::jsonb, NULL)::new_event))
            FROM f JOIN accounts a ON a.id = f.account_id
        )
        SELECT count(*) AS "held!" FROM f, told
        "#,
        event.kind().as_str(),
        event.data()
    )
    .fetch_one(pool)
    .await?;
    fence::held(held)
}
