//! Trusted-contact tokens that were read before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wacore::store::traits::TcTokenEntry;

/// Contacts remembered per account, including those without a token; above it the memory starts anew.
const REMEMBERED: usize = 2_048;

/// What the store holds, as far as it was asked for. Right because the account has one owner, and every write of that
/// owner passes here.
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
