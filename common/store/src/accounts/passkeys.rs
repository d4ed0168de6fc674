//! SQL of `passkeys`: the passkey gate, which WhatsApp may put between a scan and the link. The session writes what
//! WhatsApp demands, the tenant writes the answer, and the session takes the answer once.

use crate::fence::{self, fenced};
use sqlx::PgConnection;

use crate::error::{Error, Result};
use crate::scope::{Under, Within};
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::event::{AccountOnly, Event, SessionPasskeyRequired};
use domain::id::{AccountId, TenantId};
use domain::job::Bell;

/// Writes what WhatsApp demands: the WebAuthn request options, and what the phone's owner must do, in words.
///
/// # Errors
/// `Fenced` under an old epoch or if no pairing is under way; otherwise if the database fails.
pub async fn demand(under: Under<'_>, options: &str, advice: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let told = SessionPasskeyRequired { account_id: fence.account, advice: advice.to_owned() };
    let told = Event::SessionPasskeyRequired(told);
    let done = fenced!(
        query_scalar,
        fence,
        r#"
        a AS (SELECT a.id, a.tenant_id FROM accounts a JOIN f ON f.account_id = a.id WHERE a.status = 'pending'),
        put AS (
            INSERT INTO passkeys AS p (account_id, epoch, advice, options) SELECT id, $2, $4, $3::text::json FROM a
            ON CONFLICT (account_id) DO UPDATE
            SET epoch = excluded.epoch, advice = excluded.advice, options = excluded.options, credential = NULL,
                presented = false, code = NULL, confirmed = false, updated_at = now()
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, id, $5::text, $6::jsonb, NULL)::new_event)) FROM a
        )
        SELECT count(*) AS "n!" FROM a, told
        "#,
        options,
        advice,
        told.kind().as_str(),
        told.data()
    )
    .fetch_one(pool)
    .await?;
    fence::held(done)
}

/// Shows the code that the phone shows as well. The event does not contain the code.
///
/// # Errors
/// `Fenced` under an old epoch or if nothing is demanded any more; otherwise if the database fails.
pub async fn show_code(under: Under<'_>, code: &str, advice: &str) -> Result<()> {
    let Under { pool, fence, .. } = under;
    let told = Event::SessionPasskeyCode(AccountOnly { account_id: fence.account });
    let done = fenced!(
        query_scalar,
        fence,
        r#"
        a AS (SELECT a.id, a.tenant_id FROM accounts a JOIN f ON f.account_id = a.id WHERE a.status = 'pending'),
        put AS (
            UPDATE passkeys p SET code = $3, advice = $4, updated_at = now()
            FROM a WHERE p.account_id = a.id AND p.epoch = $2 RETURNING a.id, a.tenant_id
        ), told AS (
            SELECT write_events(array_agg(ROW(tenant_id, id, $5::text, $6::jsonb, NULL)::new_event)) FROM put
        )
        SELECT count(*) AS "n!" FROM put, told
        "#,
        code,
        advice,
        told.kind().as_str(),
        told.data()
    )
    .fetch_one(pool)
    .await?;
    fence::held(done)
}

/// Takes the owner's answer. Only one caller gets it, however many sessions ask. `None` if there is no answer.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn take_credential(under: Under<'_>) -> Result<Option<String>> {
    let Under { pool, fence, .. } = under;
    let done = fenced!(
        query,
        fence,
        r#"
        old AS (
            SELECT p.account_id, p.credential FROM passkeys p JOIN f ON f.account_id = p.account_id
            WHERE p.epoch = $2 AND p.credential IS NOT NULL FOR UPDATE OF p
        ), taken AS (
            UPDATE passkeys p SET credential = NULL, presented = true, updated_at = now()
            FROM old WHERE p.account_id = old.account_id RETURNING old.credential
        )
        SELECT (SELECT count(*) FROM f) AS "held!", (SELECT credential FROM taken) AS credential
        "#
    )
    .fetch_one(pool)
    .await?;
    fence::held(done.held)?;
    Ok(done.credential)
}

/// Takes the owner's confirmation that both codes are equal. Returns false if there is none.
///
/// # Errors
/// `Fenced` under an old epoch; otherwise if the database fails.
pub async fn take_confirmation(under: Under<'_>) -> Result<bool> {
    let Under { pool, fence, .. } = under;
    let done = fenced!(
        query,
        fence,
        r#"
        taken AS (
            UPDATE passkeys p SET confirmed = false, code = NULL, updated_at = now()
            FROM f WHERE p.account_id = f.account_id AND p.epoch = $2 AND p.confirmed RETURNING 1
        )
        SELECT (SELECT count(*) FROM f) AS "held!", EXISTS (SELECT 1 FROM taken) AS "taken!"
        "#
    )
    .fetch_one(pool)
    .await?;
    fence::held(done.held)?;
    Ok(done.taken)
}

/// Writes the owner's answer (a WebAuthn credential as JSON).
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Error::Conflict`] if no passkey is demanded, or the session
/// has taken an answer already.
pub async fn present(of: impl Into<Within<'_>>, account: AccountId, credential: &str) -> Result<Committed<()>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let done = sqlx::query_scalar!(
        r#"
        UPDATE passkeys p SET credential = $3, updated_at = now() FROM accounts a JOIN leases l ON l.account_id = a.id
        WHERE p.account_id = a.id AND p.epoch = l.epoch AND a.tenant_id = $1 AND a.id = $2 AND a.wanted <> 'erased'
          AND a.status = 'pending' AND a.jid IS NULL AND NOT p.presented
        RETURNING 1 AS "n!"
        "#,
        tenant.0,
        account.0,
        credential
    )
    .fetch_optional(&mut *db)
    .await?;
    match done {
        Some(_) => Ok(Committed::new(()).ring(Bell::Pair { account })),
        None => Err(conflict(&mut db, tenant, account, Conflict::NoPasskeyDemanded).await?),
    }
}

/// Writes the owner's confirmation that the phone shows the same code.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Error::Conflict`] if there is no code to compare.
pub async fn confirm(of: impl Into<Within<'_>>, account: AccountId) -> Result<Committed<()>> {
    let (mut db, tenant) = of.into().acquire().await?;
    let done = sqlx::query_scalar!(
        r#"
        UPDATE passkeys p SET confirmed = true, updated_at = now() FROM accounts a JOIN leases l ON l.account_id = a.id
        WHERE p.account_id = a.id AND p.epoch = l.epoch AND a.tenant_id = $1 AND a.id = $2 AND a.wanted <> 'erased'
          AND a.status = 'pending' AND a.jid IS NULL AND p.code IS NOT NULL
        RETURNING 1 AS "n!"
        "#,
        tenant.0,
        account.0
    )
    .fetch_optional(&mut *db)
    .await?;
    match done {
        Some(_) => Ok(Committed::new(()).ring(Bell::Pair { account })),
        None => Err(conflict(&mut db, tenant, account, Conflict::NoCodeToCompare).await?),
    }
}

async fn conflict(db: &mut PgConnection, tenant: TenantId, account: AccountId, why: Conflict) -> Result<Error> {
    crate::accounts::get(Within::of(db, tenant), account).await?;
    Ok(why.into())
}
