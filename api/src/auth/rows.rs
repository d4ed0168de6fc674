//! The rows as the api keeps them at hand: closed to all but the extractors, which open them for whom they have identified.

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

    /// The signs of life, for `/health`, which anybody may ask. They are counts and times: nothing of a tenant is in them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signs(&self) -> Result<Signs> {
        signs::read(self.store.for_all_tenants()).await
    }
}
