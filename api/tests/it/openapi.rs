//! The description agrees with what is served.

use std::collections::BTreeSet;

use api::routes::UNDOCUMENTED;
use reqwest::Method;
use sqlx::PgPool;

use crate::test_api::{Answer, TestApi};

/// R77: what is served and not described is named: each other route brings its own description.
#[test]
fn every_route_is_described() {
    let page = include_str!("../../src/routes/mod.rs");
    let bare: BTreeSet<&str> = page.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect();
    assert_eq!(bare, BTreeSet::from(UNDOCUMENTED.map(|(path, _)| path)));
    assert_eq!(page.matches("routes!(").count(), api::document().paths.paths.len(), "a path stands on two lines");
}

/// R77: the document stands in the tree, so that a change of the API is seen. `UPDATE=1` prints it anew.
#[test]
fn the_document_stands_in_the_tree() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let printed = format!("{}\n", api::document().to_pretty_json().unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == printed,
        "docs/openapi.json is stale: UPDATE=1 cargo test -p api --all-features --test it openapi"
    );
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

/// R77: the page for people loads nothing from elsewhere, and runs no script but its own files.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn the_docs_need_nothing_from_elsewhere(db: PgPool) {
    let api = TestApi::start(db).await;
    let anyone = api.anonymous();
    let document = anyone.get("/openapi.json").await.expect(200);
    assert!(document.json()["openapi"].as_str().unwrap().starts_with("3."));
    let page = anyone.get("/docs").await.expect(200);
    let policy = page.header("content-security-policy").to_owned();
    let rules: Vec<&str> = policy.split("; ").collect();
    assert!(["default-src 'none'", "script-src 'self'", "connect-src 'self'"].iter().all(|rule| rules.contains(rule)));
    let text = page.text();
    let scripts: Vec<&str> = text.split("<script").skip(1).filter_map(|rest| rest.split("</script").next()).collect();
    assert!(
        scripts.len() >= 2 && scripts.iter().all(|one| one.contains("src=") && one.trim().ends_with('>')),
        "{text}"
    );
    let named = ["src=\"", "href=\""].into_iter().flat_map(|word| text.split(word).skip(1));
    for name in named.filter_map(|rest| rest.split('"').next()) {
        let part = anyone.get(&format!("/docs/{}", name.trim_start_matches("./"))).await.expect(200);
        let kind = match name.rsplit('.').next().unwrap() {
            "js" => "text/javascript",
            "css" => "text/css",
            _ => "image/png",
        };
        assert!(part.header("content-type").starts_with(kind) && !part.bytes.is_empty(), "{name}");
        assert!(kind != "text/css" || !["url(http", "@import"].iter().any(|word| part.text().contains(word)), "{name}");
    }
    let beginning = anyone.get("/docs/swagger-initializer.js").await.expect(200);
    assert!(
        beginning.text().contains("\"../openapi.json\"") && !beginning.text().contains("http"),
        "{}",
        beginning.text()
    );
    assert_eq!(anyone.get("/docs/no-such-file").await.expect(404).problem(), "not-found");
}

/// R77: each schema is one type's. utoipa keeps one of two that are called alike, and says nothing.
#[test]
fn no_two_types_share_a_name() {
    let mut names = std::collections::HashMap::new();
    for root in ["../api/src", "../common/src"] {
        for (file, text) in sources(std::path::Path::new(root)) {
            for declared in text.split("#[derive(").skip(1) {
                let Some((derived, rest)) = declared.split_once(")]") else { continue };
                if !derived.contains("ToSchema") || rest.trim_start().starts_with("#[sqlx(transparent)]") {
                    continue;
                }
                let at = ["pub struct ", "pub enum "].iter().filter_map(|word| rest.find(word)).min().unwrap();
                let (head, declared) = rest.split_at(at);
                let own = declared.split_whitespace().nth(2).unwrap().split(['<', '(', '{', ';']).next().unwrap();
                let name = head.split("schema(as = ").nth(1).map_or(own, |name| name.split([')', ',']).next().unwrap());
                let before = names.insert(name.to_owned(), file.clone());
                assert_eq!(before, None, "`{name}` of {file} has a namesake");
            }
        }
    }
    assert!(names.len() > 50 && names.contains_key("RunStatus") && names.contains_key("AccountStatus"), "{names:?}");
}

fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// R77: whatever a client gives has its limits in the document: texts a length, a format or a choice, numbers a range, lists a
/// number of items.
#[test]
fn whatever_is_given_has_limits() {
    let document = serde_json::to_value(api::document()).unwrap();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let place = format!("{method} {path} {}", parameter["name"]);
                seen += check_limits(&document, &place, &parameter["schema"]);
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !body.is_null() {
                seen += check_limits(&document, &format!("{method} {path}"), body);
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

fn check_limits(document: &serde_json::Value, place: &str, schema: &serde_json::Value) -> usize {
    if let Some(name) = schema["$ref"].as_str() {
        return check_limits(document, place, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    for choices in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[choices].as_array() {
            return choices.iter().map(|choice| check_limits(document, place, choice)).sum();
        }
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let is = |kind: &str| types.iter().any(|one| one == kind);
    if is("object") {
        let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{place}: any object"));
        return properties.iter().map(|(name, one)| check_limits(document, &format!("{place}.{name}"), one)).sum();
    }
    if is("array") {
        assert!(schema["maxItems"].is_u64(), "{place}: a list without an end");
        return 1 + check_limits(document, &format!("{place}[]"), &schema["items"]);
    }
    if is("string") {
        let bounded = ["maxLength", "enum", "format", "const"].iter().any(|word| !schema[*word].is_null());
        assert!(bounded, "{place}: a text without an end");
    } else if is("integer") || is("number") {
        assert!(schema["minimum"].is_number() && schema["maximum"].is_number(), "{place}: a number without a range");
    } else {
        assert!(is("boolean") || is("null"), "{place}: {schema}");
    }
    1
}

/// R77: the document is made once, and who has it is told so.
#[sqlx::test(migrator = "common::store::MIGRATOR")]
async fn the_document_is_sent_once(db: PgPool) {
    let api = TestApi::start(db).await;
    let anyone = api.anonymous();
    let first = anyone.get("/openapi.json").await.expect(200);
    let etag = first.header("etag").to_owned();
    assert!(etag.len() > 8 && first.header("content-type") == "application/json");
    for (known, status) in [(etag.clone(), 304), (format!("W/{etag}, \"x\""), 304), ("\"x\"".to_owned(), 200)] {
        let request = anyone.request(Method::GET, "/openapi.json").header("If-None-Match", known);
        let again = Answer::of(request).await.expect(status);
        assert_eq!((again.header("etag"), again.bytes.is_empty()), (etag.as_str(), status == 304));
    }
}
