//! Waiting for what nobody tells: asking again until there is an answer, for so long at most.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use anyhow::bail;

/// Long enough for a loaded machine; nothing waits so long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(40);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks again until there is an answer.
///
/// # Panics
/// When there is none within [`DEADLINE`]; `what` is named then.
pub async fn until<T>(what: impl Debug, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, ask).await
}

/// As [`until`], with a bound of one's own.
///
/// # Panics
/// When there is no answer within `limit`.
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

/// As [`until_within`], for programs. `ask` says what it got, or what it saw instead, which the error repeats.
///
/// # Errors
/// When there is no answer within `limit`, and when asking itself fails.
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
