//! Whose rows a call may touch. A function on tenants' rows takes one of these types as its first argument, so a caller
//! reaches only the rows that it was given: those of one tenant ([`Of`], [`Within`]), of one session ([`Under`]), of one
//! webhook ([`Owning`]), or of all tenants ([`ForAllTenants`]).
//!
//! A process opens a [`Store`], which gives all of them. Code that serves one tenant at a time gets [`Tenants`]
//! instead.

use std::sync::Arc;

use domain::id::TenantId;
use sqlx::pool::MaybePoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};

use super::batched::Batches;
use super::error::Result;
use super::fence::Fence;
use super::webhooks::owner::Owner;

/// All rows. A process opens it once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    batches: Arc<Batches>,
    webhooks: Arc<Batches>,
}

impl From<PgPool> for Store {
    fn from(pool: PgPool) -> Self {
        let [batches, webhooks] = [0, 1].map(|_| Arc::new(Batches::on(pool.clone())));
        Self { batches, webhooks, pool }
    }
}

impl Store {
    /// This store, whose sessions or requests write together on connections of their own
    /// ([`crate::connect_impatiently`]).
    #[must_use]
    pub fn writing_together_on(self, connections: PgPool) -> Self {
        Self { batches: Arc::new(Batches::on(connections)), ..self }
    }

    /// The connections on which sessions or requests write together.
    #[must_use]
    pub fn together(&self) -> &PgPool {
        self.batches.pool()
    }

    /// The rows of one tenant.
    #[must_use]
    pub const fn of(&self, tenant: TenantId) -> Of<'_> {
        Of { pool: &self.pool, batches: &self.batches, tenant }
    }

    /// The rows of one session's account, under the epoch of its claim.
    #[must_use]
    pub const fn under(&self, fence: Fence) -> Under<'_> {
        Under { pool: &self.pool, batches: &self.batches, fence }
    }

    /// The rows of one webhook, for the worker that owns it.
    #[must_use]
    pub const fn owning(&self, owner: Owner) -> Owning<'_> {
        Owning { batches: &self.webhooks, owner }
    }

    /// The rows of every tenant: for workers, schedulers and admins.
    #[must_use]
    pub const fn for_all_tenants(&self) -> ForAllTenants<'_> {
        ForAllTenants { pool: &self.pool }
    }

    /// A store that gives the rows of one tenant at a time, and nothing else.
    #[must_use]
    pub fn tenants(&self) -> Tenants {
        Tenants { pool: self.pool.clone(), batches: Arc::clone(&self.batches) }
    }

    /// The connections, for rows that belong to no tenant: the server, the schema, the settings, and the rows of
    /// workers and schedulers.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A store that gives the rows of one tenant at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tenants {
    pool: PgPool,
    batches: Arc<Batches>,
}

impl Tenants {
    /// The rows of one tenant.
    #[must_use]
    pub const fn of(&self, tenant: TenantId) -> Of<'_> {
        Of { pool: &self.pool, batches: &self.batches, tenant }
    }
}

/// The rows of one tenant. Each call takes the connections that it needs.
#[derive(Debug, Clone, Copy)]
pub struct Of<'c> {
    pub(crate) pool: &'c PgPool,
    pub(crate) batches: &'c Arc<Batches>,
    pub(crate) tenant: TenantId,
}

/// The rows of one tenant for one call, which may be a part of a larger transaction.
#[derive(Debug)]
pub struct Within<'c> {
    place: Place<'c>,
    tenant: TenantId,
}

/// The place in which a call runs.
#[derive(Debug)]
enum Place<'c> {
    /// On a connection of its own.
    Alone(&'c PgPool),
    /// On this connection, as a part of its transaction.
    Part(&'c mut PgConnection),
}

impl<'c> From<Of<'c>> for Within<'c> {
    fn from(of: Of<'c>) -> Self {
        Self { place: Place::Alone(of.pool), tenant: of.tenant }
    }
}

impl<'c> Within<'c> {
    /// A call that becomes a part of this connection's transaction.
    pub(crate) const fn of(connection: &'c mut PgConnection, tenant: TenantId) -> Self {
        Self { place: Place::Part(connection), tenant }
    }

    /// The connection and the tenant.
    ///
    /// # Errors
    /// If the pool has no connection to give.
    pub(crate) async fn acquire(self) -> Result<(MaybePoolConnection<'c, Postgres>, TenantId)> {
        let connection = match self.place {
            Place::Alone(pool) => pool.acquire().await?.into(),
            Place::Part(connection) => connection.into(),
        };
        Ok((connection, self.tenant))
    }
}

/// The rows of one session's account. A write does nothing after a newer claim has raised the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Under<'c> {
    pub(crate) pool: &'c PgPool,
    pub(crate) batches: &'c Arc<Batches>,
    pub(crate) fence: Fence,
}

/// The rows of one webhook, for the worker that owns it. Webhooks of one worker read and write together. A call does
/// nothing after another worker has claimed the webhook.
#[derive(Debug, Clone, Copy)]
pub struct Owning<'c> {
    pub(crate) batches: &'c Arc<Batches>,
    pub(crate) owner: Owner,
}

/// The rows of every tenant.
#[derive(Debug, Clone, Copy)]
pub struct ForAllTenants<'c> {
    pub(crate) pool: &'c PgPool,
}
