//! What is counted of requests.

use process::telemetry::metrics;
use process::telemetry::metrics::labels::{CodeClass, Endpoint};
use reqwest::Method;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

/// Requests to an endpoint so far, whatever came of them.
fn counted(endpoint: Endpoint) -> f64 {
    CodeClass::ALL.iter().map(|class| metrics::HTTP_REQUESTS.of((endpoint, *class)).get()).sum()
}

/// R06: each route is counted by its pattern and method, as declared before the first request; what a client makes up is
/// counted, too, but is no label.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn each_route_is_counted_by_its_pattern(db: PgPool) {
    let api = TestApi::start(db).await;
    let mut routes = 0;
    for (path, method) in api::routes::endpoints() {
        let endpoint = Endpoint::of(Some(&path), method);
        assert_ne!(endpoint, Endpoint::UNMATCHED, "{method} {path} is not declared");
        let before = counted(endpoint);
        let concrete = path.replace(['{', '}'], "");
        Answer::of(api.anonymous().request(method.parse().unwrap(), &concrete)).await;
        assert!(counted(endpoint) > before, "{method} {path}");
        routes += 1;
    }
    assert!(routes > 50, "{routes}");
    let before = counted(Endpoint::UNMATCHED);
    for (method, path) in [("GET", "/v1/nothing/4917012345678"), ("BREW", "/v1/accounts"), ("DELETE", "/v1/dashboard")]
    {
        Answer::of(api.anonymous().request(Method::from_bytes(method.as_bytes()).unwrap(), path)).await;
    }
    assert!(counted(Endpoint::UNMATCHED) >= before + 3.0);
    assert_eq!(Endpoint::of(Some("/v1/accounts"), "HEAD"), Endpoint::of(Some("/v1/accounts"), "GET"));
}
