//! A cache of API keys that were looked up recently.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::id::ApiKeyId;
use store::api_keys::{self, Identity};
use store::{Result, Store};

/// How long a looked-up key stays valid in the cache. A revocation takes effect within this time. For an open stream,
/// the time between two checks is added: five seconds in total.
const CACHED_FOR: Duration = Duration::from_millis(2_500);
/// The highest number of cached keys.
const CACHE_LIMIT: usize = 10_000;
/// The precision of `last_used_at`.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// Keys that were looked up recently.
pub struct KeyCache {
    store: Store,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    identity: Identity,
    read_at: Instant,
    touched_at: Instant,
}

impl KeyCache {
    /// An empty cache.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// The identity of a key by its digest; `None` if it is unknown or revoked.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn identify(&self, digest: &[u8; 32]) -> Result<Option<Identity>> {
        let known = self.lock().get(digest).copied();
        if let Some(known) = known
            && known.read_at.elapsed() < CACHED_FOR
        {
            return Ok(Some(known.identity));
        }
        let asked_at = Instant::now();
        let Some(identity) = api_keys::identify(self.store.for_all_tenants(), digest).await? else {
            self.lock().remove(digest);
            return Ok(None);
        };
        let touched_at = known.map(|known| known.touched_at).filter(|at| at.elapsed() < TOUCH_EVERY);
        self.remember(*digest, Known { identity, read_at: asked_at, touched_at: touched_at.unwrap_or(asked_at) });
        if touched_at.is_none() {
            self.touch(identity.key);
        }
        Ok(Some(identity))
    }

    fn remember(&self, digest: [u8; 32], fresh: Known) {
        let mut known = self.lock();
        if known.len() >= CACHE_LIMIT {
            known.retain(|_, known| known.read_at.elapsed() < CACHED_FOR);
        }
        if known.len() >= CACHE_LIMIT {
            known.clear();
        }
        known.insert(digest, fresh);
    }

    /// Updates `last_used_at` in the background. It may fail.
    fn touch(&self, key: ApiKeyId) {
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = api_keys::touch(store.for_all_tenants(), key).await {
                tracing::debug!(%error, "the use of a key was not noted");
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
