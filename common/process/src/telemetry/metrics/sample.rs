//! What a process measures about itself: pools and the runtime when the page is read, and every five seconds the ping
//! time of Redis.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::label::{Component, Label as _};
use super::labels::{ConnectionState, Pool, RedisUser};
use super::page::{
    POSTGRES_CONNECTIONS, POSTGRES_CONNECTIONS_MAX, REDIS_PING_SECONDS, TOKIO_ALIVE_TASKS, TOKIO_BUSY_SECONDS,
    TOKIO_GLOBAL_QUEUE_DEPTH, TOKIO_TIMER_LAG_SECONDS, TOKIO_WORKERS,
};
use super::{failure, occupancy};

/// How often the stores are pinged.
const EVERY: Duration = Duration::from_secs(5);
/// The time limit of a ping. A ping that reaches it counts with this time.
pub const ASK: Duration = Duration::from_secs(5);
/// The timer whose lag is measured.
const TIMER: Duration = Duration::from_millis(500);

/// One process, or in tests one of several parts of it.
struct Watched {
    id: u64,
    of: Component,
    pools: Vec<(Pool, PgPool)>,
    runtime: Handle,
    /// The busy time that was counted so far, in nanoseconds.
    busy: u64,
}

static WATCHED: LazyLock<Mutex<Vec<Watched>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The measuring of one process, for as long as this lives.
#[must_use = "dropping it ends the looking"]
pub struct Watching {
    id: u64,
    tasks: JoinSet<()>,
}

impl Watching {
    /// Runs a further measurement for as long as this lives.
    pub fn beside(&mut self, look: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(look);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        watched().retain(|one| one.id != self.id);
    }
}

/// Measures these pools, this Redis, and the runtime within which it is called. The store measures the ping time of
/// Postgres.
///
/// # Errors
/// If the URL of Redis is malformed.
pub fn watch(of: Component, pools: Vec<(Pool, PgPool)>, redis_url: &str) -> redis::RedisResult<Watching> {
    let client = redis::Client::open(redis_url)?;
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut tasks = JoinSet::new();
    tasks.spawn(timer());
    tasks.spawn(redis_pings(client));
    watched().push(Watched { id, of, pools, runtime: Handle::current(), busy: 0 });
    Ok(Watching { id, tasks })
}

/// Brings the page of a binary up to date.
pub(super) fn look(of: Component) {
    if of == Component::Worker {
        occupancy::look();
    }
    let mut all = watched();
    let mut ours: Vec<&mut Watched> = all.iter_mut().filter(|one| one.of == of).collect();
    look_at_pools(of, &ours);
    let (mut workers, mut alive, mut queued) = (0, 0, 0);
    for one in &mut ours {
        let runtime = one.runtime.metrics();
        workers += runtime.num_workers();
        alive += runtime.num_alive_tasks();
        queued += runtime.global_queue_depth();
        let busy: Duration = (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker)).sum();
        let busy = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        TOKIO_BUSY_SECONDS.inc_by(Duration::from_nanos(busy.saturating_sub(one.busy)).as_secs_f64());
        one.busy = busy;
    }
    TOKIO_WORKERS.set(figure(workers));
    TOKIO_ALIVE_TASKS.set(figure(alive));
    TOKIO_GLOBAL_QUEUE_DEPTH.set(figure(queued));
}

fn look_at_pools(of: Component, ours: &[&mut Watched]) {
    for name in Pool::all(of) {
        let pools = || ours.iter().flat_map(|one| &one.pools).filter(|(pool, _)| *pool == name).map(|(_, pool)| pool);
        let idle: usize = pools().map(PgPool::num_idle).sum();
        let open: u32 = pools().map(PgPool::size).sum();
        let most: u32 = pools().map(|pool| pool.options().get_max_connections()).sum();
        let open = usize::try_from(open).unwrap_or(usize::MAX);
        POSTGRES_CONNECTIONS.of((name, ConnectionState::Idle)).set(figure(idle));
        POSTGRES_CONNECTIONS.of((name, ConnectionState::InUse)).set(figure(open.saturating_sub(idle)));
        POSTGRES_CONNECTIONS_MAX.of(name).set(f64::from(most));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure of the page")]
fn figure(count: usize) -> f64 {
    count as f64
}

async fn timer() {
    loop {
        let due = Instant::now() + TIMER;
        tokio::time::sleep_until(due).await;
        TOKIO_TIMER_LAG_SECONDS.observe(due.elapsed().as_secs_f64());
    }
}

async fn redis_pings(client: redis::Client) {
    let config = redis::aio::ConnectionManagerConfig::new()
        .set_connection_timeout(Some(ASK))
        .set_response_timeout(Some(ASK))
        .set_number_of_retries(1);
    let Ok(connection) = redis::aio::ConnectionManager::new_lazy_with_config(client, config) else { return };
    let mut every = ticks();
    loop {
        every.tick().await;
        let mut connection = connection.clone();
        let began = Instant::now();
        let ping = redis::cmd("PING");
        match tokio::time::timeout(ASK, ping.exec_async(&mut connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failure::count_redis(RedisUser::Sample, &error),
            Err(_) => failure::count_redis_timeout(RedisUser::Sample),
        }
        REDIS_PING_SECONDS.observe(began.elapsed().as_secs_f64());
    }
}

/// The interval at which stores are pinged.
#[must_use]
pub fn ticks() -> tokio::time::Interval {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    every
}
