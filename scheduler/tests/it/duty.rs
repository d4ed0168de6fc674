//! The loop of a duty.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scheduler::Context;
use scheduler::duty::{Duty, Round, Rounds, keep_doing};
use sqlx::PgPool;
use store::MIGRATOR;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::house;

/// Fails, panics, then works.
#[derive(Default)]
struct Moody(AtomicU64);

#[async_trait]
impl Duty for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn run_once(&self, _: &Context) -> anyhow::Result<Round> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => anyhow::bail!("as the test asked"),
            1 => panic!("as the test asked"),
            _ => Ok(Round::of(1)),
        }
    }
}

/// A round that fails or panics ends nothing: the next one comes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failing_round_is_followed_by_the_next(db: PgPool) {
    let context = house::context(&db).await;
    let (rounds, mut seen) = watch::channel(Rounds::default());
    let stop = CancellationToken::new();
    let duty = tokio::spawn(keep_doing(Arc::new(Moody::default()), context, rounds, stop.clone()));
    let waited = tokio::time::timeout(Duration::from_secs(10), seen.wait_for(|rounds| rounds.done >= 3)).await;
    assert_eq!(waited.unwrap().unwrap().failed, 2);
    stop.cancel();
    duty.await.unwrap();
}
