//! The api's access to the rows. The extractors of `auth` reach rows through it, after they have identified the caller. For
//! everybody else it has only the figures of `/health`.

use store::signs::{self, Signs};
use store::{Result, Store};

/// All rows, as the process opened them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rows {
    pub(super) store: Store,
}

impl Rows {
    /// The rows of this store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The figures that `/health` shows. Nobody is identified for it: the figures are counts and times, and contain
    /// nothing of a tenant.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn signs(&self) -> Result<Signs> {
        signs::read(self.store.for_all_tenants()).await
    }
}
