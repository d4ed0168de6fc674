//! Requests that may be repeated: the answers stored under an `Idempotency-Key` (table `answers`). One transaction
//! claims the key, does the work and stores the answer. So a request that dies before its commit leaves nothing and may
//! be repeated. A request that dies after it gets the stored answer. Of two simultaneous requests, the second waits for
//! the first to end.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::error::{Error, Result};
use super::scope::{ForAllTenants, Of, Within};
use domain::conflict::Conflict;
use domain::id::{AccountId, TenantId};

/// The longest key, in characters.
pub const MAX_KEY: usize = 255;
/// How long an answer is kept at least, in hours.
pub const KEPT_HOURS: i32 = 24;
/// How often a claim is tried if it meets an answer that is removed at the same moment.
const TRIES: usize = 3;

/// A request's `Idempotency-Key`, and a digest of everything that identifies the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key that the client chose.
    pub key: String,
    /// A SHA-256 that is equal only for the same request.
    pub request: [u8; 32],
}

/// The stored answer to a request. It may contain texts and phone numbers, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, 200 to 299. Only successful answers are kept.
    pub status: u16,
    /// The URL of the created object.
    pub location: Option<String>,
    /// The body. The caller seals it if it contains a secret.
    pub body: Vec<u8>,
    /// Whether the body is sealed.
    pub sealed: bool,
}

/// The state of a request's key.
pub enum Begun<A> {
    /// The request is new, or has no key. Its work is done through this turn.
    First(Turn<A>),
    /// The request was answered before.
    Again(Answer),
    /// A different request has used this key.
    Reused,
}

/// Who asks: a tenant, whose keys are its own, or the operator, whose requests share one set of keys.
pub trait Asker: Copy {
    /// The tenant that owns the keys; `None` for the operator.
    fn tenant(self) -> Option<TenantId>;
}

impl Asker for TenantId {
    fn tenant(self) -> Option<TenantId> {
        Some(self)
    }
}

/// The operator, whose requests may be about any tenant.
#[derive(Debug, Clone, Copy)]
pub struct Admin(());

impl Asker for Admin {
    fn tenant(self) -> Option<TenantId> {
        None
    }
}

/// The right to do the work of a request once. A turn with a key that is dropped without [`Turn::end`] leaves nothing
/// behind.
pub struct Turn<A> {
    held: Held,
    asker: A,
    key: Option<Key>,
}

enum Held {
    /// Without a key: each step commits by itself.
    Alone(PoolConnection<Postgres>),
    /// With a key: the claim, the work and the answer are one transaction.
    Together(Transaction<'static, Postgres>),
}

/// Begins a request of a tenant. Claims the key, if there is one. If another request with the same key is under way, this
/// waits for its end.
///
/// # Errors
/// [`Error::Conflict`] if the key can be neither claimed nor read, for example because its tenant is being deleted.
pub async fn begin(of: Of<'_>, key: Option<Key>) -> Result<Begun<TenantId>> {
    let Of { pool, tenant, .. } = of;
    begin_by(pool, tenant, key).await
}

/// As [`begin`], for a request of the operator.
///
/// # Errors
/// As [`begin`].
pub async fn begin_for_admin(all: ForAllTenants<'_>, key: Option<Key>) -> Result<Begun<Admin>> {
    begin_by(all.pool, Admin(()), key).await
}

async fn begin_by<A: Asker>(db: &PgPool, asker: A, key: Option<Key>) -> Result<Begun<A>> {
    let Some(key) = key else {
        let held = Held::Alone(db.acquire().await?);
        return Ok(Begun::First(Turn { held, asker, key }));
    };
    let tenant = asker.tenant();
    let mut transaction = db.begin().await?;
    for _ in 0..TRIES {
        if claim(&mut transaction, tenant, &key).await? {
            return Ok(Begun::First(Turn { held: Held::Together(transaction), asker, key: Some(key) }));
        }
        match find(&mut transaction, tenant, &key.key).await? {
            Some((request, _)) if request != key.request => return Ok(Begun::Reused),
            Some((_, answer)) => return Ok(Begun::Again(answer)),
            None => {} // it was removed between the two queries
        }
    }
    Err(Conflict::IdempotencyKeyInUse.into())
}

impl Turn<TenantId> {
    /// The rows of the tenant that asks. All of the work is done on them, so that it commits with the answer.
    pub fn of(&mut self) -> Within<'_> {
        let tenant = self.asker;
        Within::of(self.held.connection(), tenant)
    }
}

impl Turn<Admin> {
    /// The rows of a tenant. All of the work is done on them, so that it commits with the answer.
    pub fn of(&mut self, tenant: TenantId) -> Within<'_> {
        Within::of(self.held.connection(), tenant)
    }
}

impl Held {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Alone(connection) => connection,
            Self::Together(transaction) => transaction,
        }
    }
}

impl<A: Asker> Turn<A> {
    /// Stores the answer and commits. From then on a repeated request gets the same answer, as long as the account
    /// `about` exists.
    ///
    /// # Errors
    /// If the database fails. Then nothing was done.
    pub async fn end(self, answer: &Answer, about: Option<AccountId>) -> Result<()> {
        let (Held::Together(mut transaction), Some(key)) = (self.held, self.key) else { return Ok(()) };
        sqlx::query!(
            "UPDATE answers SET status = $3, location = $4, body = $5, sealed = $6,
                 account_id = (SELECT id FROM accounts WHERE id = $7)
             WHERE tenant_id IS NOT DISTINCT FROM $1 AND key = $2",
            self.asker.tenant().map(|tenant| tenant.0),
            key.key,
            i16::try_from(answer.status).unwrap_or_default(),
            answer.location,
            answer.body,
            answer.sealed,
            about.map(|account| account.0)
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn claim(transaction: &mut PgConnection, tenant: Option<TenantId>, key: &Key) -> Result<bool> {
    let claimed = sqlx::query!(
        "INSERT INTO answers (tenant_id, key, request)
         SELECT $1, $2, $3 WHERE $1::uuid IS NULL OR EXISTS (SELECT FROM tenants WHERE id = $1) ON CONFLICT DO NOTHING",
        tenant.map(|tenant| tenant.0),
        key.key,
        key.request.as_slice()
    )
    .execute(transaction)
    .await?;
    Ok(claimed.rows_affected() > 0)
}

async fn find(
    transaction: &mut PgConnection,
    tenant: Option<TenantId>,
    key: &str,
) -> Result<Option<(Vec<u8>, Answer)>> {
    let found = sqlx::query!(
        "SELECT request, status, location, body, sealed FROM answers
         WHERE tenant_id IS NOT DISTINCT FROM $1 AND key = $2",
        tenant.map(|tenant| tenant.0),
        key
    )
    .fetch_optional(transaction)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let status = row.status.and_then(|status| u16::try_from(status).ok());
    let (Some(status), Some(body)) = (status, row.body) else {
        return Err(Error::Corrupt("an answer without a status or a body".to_owned()));
    };
    Ok(Some((row.request, Answer { status, location: row.location, body, sealed: row.sealed })))
}

/// Removes answers, and records of the previous release, that are older than [`KEPT_HOURS`], at most `limit` of each.
/// Returns the larger of the two numbers. For the scheduler.
///
/// # Errors
/// If the database fails.
pub async fn prune(all: ForAllTenants<'_>, limit: i64) -> Result<u64> {
    let ForAllTenants { pool: db } = all;
    let answers = sqlx::query!(
        "DELETE FROM answers WHERE ctid IN (
            SELECT ctid FROM answers WHERE created_at < now() - make_interval(hours => $1) ORDER BY created_at LIMIT $2)",
        KEPT_HOURS,
        limit
    )
    .execute(db)
    .await?;
    let notes = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (
            SELECT tenant_id, key FROM idempotency_keys
            WHERE created_at < now() - make_interval(hours => $1) ORDER BY created_at LIMIT $2)",
        KEPT_HOURS,
        limit
    )
    .execute(db)
    .await?;
    Ok(answers.rows_affected().max(notes.rows_affected()))
}
