//! What a process asks Postgres every five seconds: how long an answer takes, what its clock shows, and whether the
//! schema is the one that this program knows.

use process::telemetry::metrics::labels::{Pool, SchemaGap};
use process::telemetry::metrics::sample::{ASK, Watching, ticks};
use process::telemetry::metrics::{CLOCK_OFFSET_SECONDS, POSTGRES_WAIT_SECONDS, SCHEMA_MIGRATIONS, failure};
use sqlx::PgPool;
use tokio::time::Instant;

use super::error::Result;
use super::measure;
use super::pool::{answered, ping};

/// Adds these pools to what `watching` observes. The first pool is also asked for the clock and the schema.
pub fn beside(watching: &mut Watching, pools: Vec<(Pool, PgPool)>) {
    for (place, (name, pool)) in pools.into_iter().enumerate() {
        watching.beside(look(name, pool, place == 0));
    }
}

async fn look(name: Pool, pool: PgPool, more: bool) {
    let mut every = ticks();
    loop {
        every.tick().await;
        let began = Instant::now();
        // the store has counted any failure already
        let pinged = tokio::time::timeout(ASK + ASK, ping(&pool)).await;
        POSTGRES_WAIT_SECONDS.of(name).observe(began.elapsed().as_secs_f64());
        if pinged.is_err() {
            failure::count_postgres_timeout();
        }
        if more && matches!(pinged, Ok(Ok(()))) {
            let _ = answered(look_further(&pool)).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures of the page")]
async fn look_further(pool: &PgPool) -> Result<()> {
    CLOCK_OFFSET_SECONDS.set(measure::clock_offset(pool).await?);
    let (pending, unknown) = measure::schema(pool).await?;
    SCHEMA_MIGRATIONS.of(SchemaGap::Pending).set(pending as f64);
    SCHEMA_MIGRATIONS.of(SchemaGap::Unknown).set(unknown as f64);
    Ok(())
}
