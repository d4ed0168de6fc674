//! The description agrees with what is served.

use std::collections::BTreeSet;

use reqwest::Method;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

/// Routes that are for machines of the operator, not of the API.
const UNDOCUMENTED: [&str; 2] = ["/openapi.json", "/docs"];

/// The paths on the page that lists all routes.
fn served() -> BTreeSet<String> {
    let page = include_str!("../../src/routes/mod.rs");
    let routes = page.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    routes.filter(|path| !UNDOCUMENTED.contains(path)).map(str::to_owned).collect()
}

#[test]
fn every_route_is_described() {
    let described: BTreeSet<String> = api::document().paths.paths.keys().cloned().collect();
    assert_eq!(described, served());
}

#[test]
fn every_operation_has_words_and_a_tag() {
    let document = serde_json::to_value(api::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|words| !words.is_empty()), "{method} {path}");
            assert!(operation["tags"][0].is_string(), "{method} {path}");
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(name), "{name}");
    }
}

/// Every described operation is served: with a key of the wrong side it is refused, and never unknown.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn every_described_operation_is_served(db: PgPool) {
    let api = TestApi::start(db).await;
    let document = serde_json::to_value(api::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let concrete = path.replace(['{', '}'], "");
            let answer = Answer::of(api.anonymous().request(method.clone(), &concrete)).await;
            let expected = if path == "/health" { 200 } else { 401 };
            assert_eq!(answer.status.as_u16(), expected, "{method} {path}");
        }
    }
}

#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn the_docs_need_nothing_from_elsewhere(db: PgPool) {
    let api = TestApi::start(db).await;
    let anyone = api.anonymous();
    let document = anyone.get("/openapi.json").await.expect(200);
    assert!(document.json()["openapi"].as_str().unwrap().starts_with("3."));
    let page = anyone.get("/docs").await.expect(200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for elsewhere in ["src=\"http", "href=\"http", "url(http", "@import", "//cdn"] {
        assert!(!page.text().contains(elsewhere), "{elsewhere}");
    }
}
