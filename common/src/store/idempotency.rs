//! Idempotency keys: what a request that is repeated with the same key gets. Rows are written by [`super::messages::accept`].

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::Result;

/// Longest key, in characters.
pub const MAX_KEY: usize = 255;
/// How long a key is remembered at least, in hours.
pub const KEPT_HOURS: i32 = 24;

/// A request's `Idempotency-Key` and a digest of everything that makes it this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As the client chose it.
    pub key: String,
    /// The same for the same request only.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// A key for the request that consists of these parts. Each part's length is digested too, so no two lists of parts
    /// look alike.
    #[must_use]
    pub fn new(key: &str, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self { key: key.to_owned(), fingerprint: digest.finalize().into() }
    }
}

/// Forgets keys older than [`KEPT_HOURS`], at most `limit` at a time; answers how many. For the scheduler.
///
/// # Errors
/// When the database does not do it.
pub async fn prune_of_all_tenants(db: &PgPool, limit: i64) -> Result<u64> {
    let pruned = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (
            SELECT tenant_id, key FROM idempotency_keys
            WHERE created_at < now() - make_interval(hours => $1) ORDER BY created_at LIMIT $2)",
        KEPT_HOURS,
        limit
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_parts_apart() {
        let of = |parts: &[&[u8]]| Key::new("k", parts).fingerprint;
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), of(&[b"ab", b""]));
    }
}
