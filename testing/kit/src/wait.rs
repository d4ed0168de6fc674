//! Waiting by polling, with a deadline.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use anyhow::bail;

/// Long enough for a loaded machine. No wait takes that long unless something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `ask` until it returns something.
///
/// # Panics
/// If it returns nothing within [`DEADLINE`]. The message names `what`.
pub async fn until<T>(what: impl Debug, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, ask).await
}

/// As [`until`], with another limit.
///
/// # Panics
/// If it returns nothing within `limit`.
pub async fn until_within<T>(limit: Duration, what: impl Debug, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < limit, "waited in vain for {what:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`until_within`], for programs. `ask` returns what it found, or what it saw instead, which the error then
/// repeats.
///
/// # Errors
/// If nothing is found within `limit`, or `ask` itself fails.
pub async fn reach<T, F>(wanted: impl Display, limit: Duration, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Result<T, String>>>,
{
    let start = Instant::now();
    loop {
        let seen = match ask().await? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if start.elapsed() > limit {
            bail!("expected {wanted} within {} s; last seen: {seen}", limit.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
