//! Stores that are unreachable, one or both, cut or half open: what a worker continues, what it stops, and its
//! recovery.

use std::time::{Duration, Instant};

use kit::{Line, RedisServer, until};
use sqlx::PgPool;

use e2e::{Cluster, Lines, Part};
use kit::DEADLINE;

/// The lease's life in these tests.
const TTL: Duration = Duration::from_secs(6);
/// How long a worker may act after the start of its last successful renewal.
const TRUST: Duration = Duration::from_secs(4);
/// The time for the close itself on a loaded machine.
const CLOSE: Duration = Duration::from_millis(750);

/// A cluster, a worker that serves an account over connections that the test can cut, and a second worker that could
/// take the account.
struct Scene {
    cluster: Cluster,
    worker: Part,
    lines: Lines,
    other: Part,
    account: String,
    own: String,
    bob: String,
}

impl Scene {
    async fn new(pool: PgPool) -> Self {
        let (mut cluster, _) = Cluster::start(pool, 0).await;
        cluster.set("LEASE_TTL_MS", "6000");
        let (worker, lines) = cluster.worker_behind_lines().await;
        let (account, own) = cluster.connected("Ada").await;
        let bob = cluster.phone("Bob").await;
        let other = cluster.worker();
        let scene = Self { cluster, worker, lines, other, account, own, bob };
        scene.ready(&scene.other).await;
        scene
    }

    async fn ready(&self, part: &Part) {
        until("readiness", async || (part.health("/readyz").await.0 == 200).then_some(())).await;
    }

    /// Checks that the worker is not ready for this reason, and is alive.
    async fn unready(&self, why: &str) {
        until(why, async || {
            assert_eq!(self.worker.health("/livez").await.0, 200);
            let (status, text) = self.worker.health("/readyz").await;
            (status == 503 && text.contains(why)).then_some(())
        })
        .await;
    }

    /// Checks that the socket stays open for longer than the lease's life, and that no other is opened.
    async fn keeps_its_socket(&self) {
        let before = self.cluster.sockets(&self.own).await.len();
        let start = Instant::now();
        while start.elapsed() < TTL * 3 / 2 {
            let sockets = self.cluster.sockets(&self.own).await;
            assert_eq!(sockets.len(), before, "somebody took over, or it connected again");
            assert!(sockets.last().unwrap()["closed_at_us"].is_null(), "its socket was closed");
            assert_eq!(self.worker.health("/livez").await.0, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn arrives(&self, text: &str) {
        let inbox = self.cluster.shows(&self.bob, &[text]).await;
        let shown: Vec<_> = inbox.iter().filter(|m| m["text"] == text).collect();
        assert_eq!(shown.len(), 1, "{inbox:?}");
    }

    async fn end(self) {
        assert_eq!(self.cluster.overlaps().await, 0);
        self.cluster.stop(vec![self.worker, self.other]).await;
    }
}

/// R02: unreachable does not mean lost. The heartbeat in Postgres keeps the account, and messages go out without bells.
async fn redis_goes_away(pool: PgPool, line: Line) {
    let scene = Scene::new(pool).await;
    scene.lines.redis.set(line);
    scene.unready("Redis").await;
    scene.cluster.send(&scene.account, &scene.bob, "without Redis").await;
    scene.keeps_its_socket().await;
    scene.arrives("without Redis").await;
    scene.lines.redis.set(Line::Through);
    scene.ready(&scene.worker).await;
    scene.cluster.send(&scene.account, &scene.bob, "with Redis").await;
    scene.arrives("with Redis").await;
    scene.end().await;
}

/// R02: the key in Redis keeps the account. Queued messages wait, because nothing can be read or written, and go out
/// once.
async fn postgres_goes_away(pool: PgPool, line: Line) {
    let scene = Scene::new(pool).await;
    scene.lines.postgres.set(line);
    scene.unready("Postgres").await;
    let id = scene.cluster.send(&scene.account, &scene.bob, "queued").await;
    scene.keeps_its_socket().await;
    assert_eq!(scene.cluster.get(&format!("/v1/messages/{id}")).await["state"], "queued");
    assert!(scene.cluster.inbox(&scene.bob).await.is_empty());
    scene.lines.postgres.set(Line::Through);
    scene.arrives("queued").await;
    scene.ready(&scene.worker).await;
    scene.end().await;
}

/// R02: nothing confirms the right to act. The socket is closed two thirds of the lease's life after the last renewal,
/// long before the lease can end. Another worker takes over. The first one serves again without a restart when its
/// connections are restored.
async fn both_go_away(pool: PgPool, line: Line) {
    let scene = Scene::new(pool).await;
    let before = scene.cluster.sockets(&scene.own).await.len();
    // Redis first: Postgres learns of a renewal in between
    scene.lines.redis.set(line);
    scene.lines.postgres.set(line);
    let renewed =
        "SELECT (extract(epoch FROM w.last_seen) * 1000000)::bigint FROM workers w JOIN leases l ON l.owner = w.id";
    let renewed_us: i64 = sqlx::query_scalar(renewed).fetch_one(&scene.cluster.pool).await.unwrap();
    scene.cluster.send(&scene.account, &scene.bob, "by the other").await;
    scene.unready("the right to act has run out").await;
    scene.arrives("by the other").await;
    let sockets = scene.cluster.sockets(&scene.own).await;
    let closed_us = sockets[before - 1]["closed_at_us"].as_u64().unwrap();
    let closed = Duration::from_micros(closed_us - u64::try_from(renewed_us).unwrap());
    assert!(closed <= TRUST + CLOSE, "closed only {closed:?} after the last renewal");
    assert_ne!(sockets[before - 1]["close_reason"], "replaced");
    assert!(sockets.len() > before, "the other one has its own");

    scene.lines.postgres.set(Line::Through);
    scene.lines.redis.set(Line::Through);
    scene.ready(&scene.worker).await;
    let Scene { cluster, worker, lines, other, account, bob, .. } = scene;
    other.stop().await;
    cluster.send(&account, &bob, "by the first again").await;
    cluster.shows(&bob, &["by the first again"]).await;
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(vec![worker]).await;
    drop(lines);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn redis_is_cut_off(pool: PgPool) {
    redis_goes_away(pool, Line::Cut).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn redis_falls_silent(pool: PgPool) {
    redis_goes_away(pool, Line::Silent).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn postgres_is_cut_off(pool: PgPool) {
    postgres_goes_away(pool, Line::Cut).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn postgres_falls_silent(pool: PgPool) {
    postgres_goes_away(pool, Line::Silent).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn both_are_cut_off(pool: PgPool) {
    both_go_away(pool, Line::Cut).await;
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn both_fall_silent(pool: PgPool) {
    both_go_away(pool, Line::Silent).await;
}

/// Sends this many messages while `trouble` strikes between them. Each arrives once and in order, on sockets that never
/// overlap.
async fn all_arrive(cluster: &Cluster, count: usize, mut trouble: impl AsyncFnMut(usize)) {
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let texts: Vec<String> = (0..count).map(|n| format!("message {n:02}")).collect();
    for (n, text) in texts.iter().enumerate() {
        trouble(n).await;
        let body = serde_json::json!({"to": bob, "text": text});
        let (path, start) = (format!("/v1/accounts/{account}/messages"), Instant::now());
        // an answer other than 2xx promises nothing, so the client asks again
        while !cluster.call(reqwest::Method::POST, &path, Some(body.clone())).await.0.is_success() {
            assert!(start.elapsed() < DEADLINE, "the api never took it");
        }
    }
    let wanted: Vec<&str> = texts.iter().map(String::as_str).collect();
    let inbox = cluster.shows(&bob, &wanted).await;
    let seen: Vec<&str> = inbox.iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(seen, wanted, "order is kept and nothing is shown twice");
    assert_eq!(cluster.overlaps().await, 0);
}

/// R01, R02: Redis ends and comes back empty while messages are accepted.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn redis_is_killed_and_restarted_empty(pool: PgPool) {
    let mut redis = RedisServer::start();
    let (cluster, workers) = Cluster::start_on(pool, 2, redis.url()).await;
    all_arrive(&cluster, 30, async |n| {
        if n == 10 {
            redis.restart();
        }
        if n == 20 {
            redis.kill();
        }
        if n == 25 {
            redis.restart();
        }
    })
    .await;
    cluster.stop(workers).await;
}

/// R02: Redis answers no client for longer than the life of a lease. Every lease has run out when it answers again, but
/// no account moves.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn redis_pauses_for_longer_than_a_lease_lives(pool: PgPool) {
    let server = RedisServer::start();
    let (cluster, workers) = Cluster::start_on(pool, 2, server.url()).await;
    let mut redis = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    all_arrive(&cluster, 10, async |n| {
        if n == 5 {
            let _: () = redis::cmd("CLIENT").arg("PAUSE").arg(5_000).query_async(&mut redis).await.unwrap();
        }
    })
    .await;
    cluster.stop(workers).await;
}

/// R01: all connections to Postgres are ended several times while messages are accepted and sent.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn connections_to_postgres_are_ended(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool.clone(), 2).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    all_arrive(&cluster, 60, async |n| {
        if n % 15 == 10 {
            let start = Instant::now();
            // this also ends connections of the pool of this test
            while sqlx::query(end).execute(&pool).await.is_err() {
                assert!(start.elapsed() < DEADLINE);
            }
        }
    })
    .await;
    cluster.stop(workers).await;
}
