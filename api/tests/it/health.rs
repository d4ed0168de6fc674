//! Health, readiness, liveness and metrics.

use serde_json::json;
use sqlx::PgPool;

use crate::test_api::TestApi;

/// R60: `/health` counts the sessions that should be and those that are; liveness and readiness are apart.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn health_counts_sessions(db: PgPool) {
    let api = TestApi::start(db).await;
    let (tenant, anyone) = (api.tenant().await, api.anonymous());
    for status in ["connected", "connected", "disconnected", "unpaired"] {
        let id = tenant.account("Sales").await;
        api.set_status(&id, status).await;
    }
    let health = anyone.get("/health").await.expect(200).json();
    assert_eq!((&health["status"], &health["sessions"]), (&json!("ok"), &json!({"total": 3, "connected": 2})));
    assert!(health["uptime_s"].is_u64());
    assert_eq!(anyone.get("/livez").await.expect(200).text(), "ok\n");
    assert_eq!(anyone.get("/readyz").await.expect(200).text(), "ok\n");
    let metrics = anyone.get("/metrics").await.expect(200).text();
    assert!(
        metrics.contains(r#"switchboard_http_requests_total{method="POST",route="/v1/accounts",status="201"}"#),
        "{metrics}"
    );
}

/// R60: with Redis away the process lives, says so, and is not ready.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn without_redis_it_is_degraded(db: PgPool) {
    let api = TestApi::start_with_redis(db, "redis://127.0.0.1:1").await;
    let anyone = api.anonymous();
    assert_eq!(anyone.get("/health").await.expect(200).json()["status"], "degraded");
    let ready = anyone.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (503, "redis does not answer\n"));
    anyone.get("/livez").await.expect(200);
}
