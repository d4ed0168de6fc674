//! The life of a worker process: start, serve, stop in order.

use std::sync::Arc;

use anyhow::Context as _;
use bells::redis_health::RedisHealth;
use domain::id::WorkerId;
use process::clock::BootTime;
use process::ops;
use process::serving::Serving;
use process::shutdown::Stop;
use process::startup::Startup;
use process::telemetry::metrics::Component;
use process::trouble::postgres::Place;
use process::trouble::{self, Trouble};
use store::seal::Sealer;
use store::workers::Boot;
use store::{PgPool, Store, server};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::context::Context;
use crate::fleet::name;
use crate::keys;
use crate::link::Connector;
use crate::parts::Parts;

/// Runs a worker until `stop` is cancelled. Then every session finishes and closes, and every account is given back
/// within the stop timeout; an order to stop at once cuts this short. `listener` serves health and metrics during the
/// whole run. The worker does nothing before Postgres and its schema are usable; later failures do not end it.
///
/// # Errors
/// [`keys::Misfit`] if credentials are sealed under a key that this worker was not given, at the start or later. Fails
/// if a setting is malformed, if sessions were cut off or may still be open at the end, or if a part of the worker
/// broke.
pub async fn run(
    config: Config,
    connector: Arc<dyn Connector>,
    listener: TcpListener,
    stop: impl Into<Stop>,
) -> anyhow::Result<()> {
    let (stop, worker) = (stop.into(), WorkerId::new());
    let (mut serving, mut startup) = Serving::begin(Component::Worker, listener, &stop.gently);
    let Some(Started { pools, at, name }) = started(&mut startup, &config, worker).await? else { return Ok(()) };
    if let Some(own) = config.locked_name() {
        serving.beside(name::keep(pools[1].clone(), worker, own, name.lock));
    }
    let context = Arc::new(Context::new(&config, worker, name.former, connector, pools)?);
    context.trust.renewed(at);
    let redis = RedisHealth::connect(&config.redis.url, &config.redis.prefix).context("Redis")?;
    startup.up(ready_check(Arc::clone(&context), redis.clone()));
    let mut parts = Parts::begin(&config, Arc::clone(&context), redis, &mut serving, stop)?;
    let broke = parts.run().await;
    parts.end(&config).await?;
    anyhow::ensure!(!broke, "worker stopped: what keeps its leases or looks for accounts broke");
    tracing::info!("worker stopped");
    match context.unknown_key.get() {
        Some(key_id) => Err(keys::Misfit::unknown(context.store.for_all_tenants(), key_id).await.into()),
        None => Ok(()),
    }
}

/// What a start has brought about.
struct Started {
    pools: [PgPool; 2],
    /// When the registration began.
    at: BootTime,
    name: name::Taken,
}

/// Waits until Postgres is usable and the keys fit the database, then registers the worker under its name. Returns
/// `None` if a stop was requested meanwhile.
async fn started(startup: &mut Startup, config: &Config, worker: WorkerId) -> anyhow::Result<Option<Started>> {
    let sealer = Sealer::parse(&config.credential_keys.0).context("CREDENTIAL_KEYS")?;
    loop {
        let shares = config.connections();
        let pools = store::startup::postgres(startup, &config.database, [shares.rows, shares.keeping]).await;
        let Some([pool, keeping]) = pools else { return Ok(None) };
        let registered = startup.stop().run_until_cancelled(register(&pool, &sealer, config, worker)).await;
        let error = match registered {
            None => return Ok(None),
            Some(Ok((name, at))) => return Ok(Some(Started { pools: [pool, keeping], at, name })),
            Some(Err(error)) => error,
        };
        let place = Place::from(&*pool.connect_options());
        let trouble = match error.downcast::<store::Error>()? {
            store::Error::Database(error) => trouble::postgres::of(&error, &place),
            store::Error::Unavailable(says) => {
                Trouble::in_time("unreachable", format!("Postgres does not answer: {says}"), "waiting for it")
            }
            other => return Err(other.into()),
        };
        if startup.again(&trouble).await.is_none() {
            return Ok(None);
        }
    }
}

/// Takes the name, then registers. Returns when the registration began.
async fn register(
    pool: &PgPool,
    sealer: &Sealer,
    config: &Config,
    worker: WorkerId,
) -> anyhow::Result<(name::Taken, BootTime)> {
    keys::check(Store::from(pool.clone()).for_all_tenants(), sealer).await?;
    let name = config.name();
    let taken = match config.locked_name() {
        Some(name) => name::take(pool, worker, &name).await?,
        None => name::Taken::default(),
    };
    let boot = Boot {
        name: &name,
        holds_name: taken.lock.is_some(),
        version: env!("CARGO_PKG_VERSION"),
        release: &config.release,
        capacity: i32::try_from(config.capacity).unwrap_or(i32::MAX),
        lease: config.lease_ttl(),
    };
    let at = BootTime::now();
    store::workers::register(pool, worker, boot).await?;
    Ok((taken, at))
}

/// The readiness check: the worker has the right to act, and both stores answer and accept writes.
fn ready_check(context: Arc<Context>, redis: RedisHealth) -> ops::ReadyCheck {
    Arc::new(move || {
        let (context, redis) = (Arc::clone(&context), redis.clone());
        Box::pin(async move {
            if !context.trust.holds(BootTime::now()) {
                return Err("the right to act has run out: neither Postgres nor Redis confirms it".to_owned());
            }
            let (rows, leases) = tokio::join!(server::healthy(context.store.pool()), redis.ask());
            rows.and(leases).map_err(|trouble| trouble.to_string())
        })
    })
}
