//! Retries after a deadlock.

use super::error::Result;

/// How often a transaction is tried that Postgres aborts because of a deadlock.
pub(crate) const TRIES: usize = 3;

/// Runs a transaction, and repeats it if Postgres aborts it to resolve a deadlock (SQLSTATE 40P01). The other
/// transaction can go on by then.
pub(crate) async fn again<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match step().await {
            Err(error) if error.is_of_the_call() => {}
            done => return done,
        }
    }
    step().await
}
