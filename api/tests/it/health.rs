//! Health, readiness, liveness and metrics.

use kit::{Line, Proxy, health, reads, redis_prefix, redis_url};
use process::config::{Database, Redis, Telemetry, Webhooks, Zones};
use process::telemetry::metrics::REVISION;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, PgPool};
use store::signs;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::test_api::TestApi;

/// R60: `/health` counts the sessions that should be and those that are; liveness and readiness are apart.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn health_counts_sessions(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, anyone) = (api.tenant().await, api.anonymous());
    for status in ["connected", "connected", "disconnected", "unpaired"] {
        let id = tenant.account("Sales").await;
        api.set_status(&id, status).await;
    }
    let health = anyone.get("/health").await.expect(200).json();
    assert_eq!((&health["status"], &health["sessions"]), (&json!("degraded"), &json!({"total": 3, "connected": 2})));
    let parts = &health["parts"];
    for (part, status, live) in [
        ("postgres", "ok", Value::Null),
        ("redis", "ok", Value::Null),
        ("workers", "ok", json!(2)),
        ("schedulers", "down", json!(0)),
    ] {
        assert_eq!((&parts[part]["status"], &parts[part]["live"]), (&json!(status), &live), "{part}");
        assert_eq!(parts[part]["last_seen_at"].is_string(), part != "schedulers", "{part}");
    }
    signs::scheduler_lives(&api.db, uuid::Uuid::now_v7(), "host", "1").await.unwrap();
    assert_eq!(anyone.get("/health").await.expect(200).json()["status"], "ok");
    assert!(health["uptime_s"].is_u64());
    let build = (&health["version"], &health["revision"], &health["source"]);
    assert_eq!(build, (&json!(env!("CARGO_PKG_VERSION")), &json!(REVISION), &json!(env!("CARGO_PKG_REPOSITORY"))));
    assert_eq!(health["zone_data"], json!({"version": schedule::zone::data_version(), "source": "built_in"}));
    let ops = api.ops();
    assert_eq!(ops.get("/livez").await.expect(200).text(), "ok\n");
    assert_eq!(ops.get("/readyz").await.expect(200).text(), "ok\n");
    let metrics = ops.get("/metrics").await.expect(200).text();
    assert!(
        metrics.contains(r#"switchboard_http_requests_total{code="2xx",method="POST",route="/v1/accounts"}"#),
        "{metrics}"
    );
}

/// R60: with Redis away the process lives, says so, and is not ready.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_redis_it_is_degraded(db: PgPool) {
    let api = TestApi::start_with_redis(db, "redis://127.0.0.1:1").await;
    let anyone = api.anonymous();
    assert_eq!(anyone.get("/health").await.expect(200).json()["status"], "degraded");
    let ready = api.ops().get("/readyz").await;
    assert_eq!(ready.status.as_u16(), 503);
    assert!(ready.text().starts_with("Redis at 127.0.0.1:1 can't be reached"), "{}", ready.text());
    api.ops().get("/livez").await.expect(200);
}

/// R06: health and metrics are for operators: tenants' port does not serve them.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn tenants_do_not_see_the_ops_port(db: PgPool) {
    let api = TestApi::start(db).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        api.anonymous().get(path).await.expect(404);
        api.ops().get(path).await.expect(200);
    }
    let elsewhere = reqwest::get(format!("http://{}/v1/accounts", api.ops_address)).await.unwrap();
    assert_eq!(elsewhere.status().as_u16(), 404);
}

/// R60: with Postgres cut off, or silent, the process lives, says that it is down, and is not ready; it comes back by itself.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn without_postgres_it_is_down(db: PgPool) {
    let (line, url) = Proxy::before(db.connect_options().to_url_lossy().as_str()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ops = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ops_address = ops.local_addr().unwrap();
    let config = api::Config {
        connections: 8_192,
        connections_per_address: 4_096,
        listen: address,
        ops: api::config::Ops { listen: ops_address },
        database: Database { url, max_connections: 4 },
        redis: Redis { url: redis_url(), prefix: redis_prefix() },
        telemetry: Telemetry::default(),
        zones: Zones::default(),
        webhooks: Webhooks { allow_private: vec![], allow_http: false },
        source_url: env!("CARGO_PKG_REPOSITORY").to_owned(),
    };
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    tokio::spawn(api::run(config, api::Listeners { tenants: listener, ops }, stop));

    reads(ops_address, 200, "").await;
    line.set(Line::Cut);
    let says = reads(ops_address, 503, "").await;
    assert!(says.starts_with("Postgres at ") || says == "no answer within 2 s\n", "{says}");
    let (status, text) = health(address, "/health").await;
    assert_eq!((status, &serde_json::from_str::<Value>(&text).unwrap()["status"]), (503, &json!("down")));
    line.set(Line::Through);
    reads(ops_address, 200, "").await;
    line.set(Line::Silent);
    reads(ops_address, 503, "").await;
    line.set(Line::Through);
    reads(ops_address, 200, "").await;
}
