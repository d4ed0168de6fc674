//! Trying again what lost a deadlock.

use super::error::Result;

/// How often a transaction is tried that lost a deadlock.
pub(crate) const TRIES: usize = 3;

/// Tries a transaction again that Postgres gave up to resolve a deadlock (SQLSTATE 40P01): the other one has gone on by then.
pub(crate) async fn again<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match step().await {
            Err(error) if error.is_deadlock() => {}
            done => return done,
        }
    }
    step().await
}
