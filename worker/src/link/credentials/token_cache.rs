//! A cache of trusted-contact tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wacore::store::traits::TcTokenEntry;

/// How many contacts are cached per account, including those without a token. Above that the cache is cleared.
const REMEMBERED: usize = 2_048;

/// The stored tokens that were read so far. The cache is correct because the account has one owner, and every write of
/// that owner goes through it.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<HashMap<String, Option<TcTokenEntry>>>);

impl TokenCache {
    pub(super) fn get(&self, jid: &str) -> Option<Option<TcTokenEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(jid).cloned()
    }

    pub(super) fn set(&self, jid: &str, entry: Option<TcTokenEntry>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(jid.to_owned(), entry);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
