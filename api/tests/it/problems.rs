//! Problems: each type is named once, and documented.

use std::collections::HashSet;

use api::problem::table;
use domain::conflict::Conflict;

/// R78: each type of problem has a name of its own and a title, and stands in the OpenAPI document.
#[test]
fn each_type_is_named_once_and_documented() {
    let kinds = table::kinds();
    let names: HashSet<_> = kinds.iter().map(|kind| kind.slug).collect();
    let titles: HashSet<_> = kinds.iter().map(|kind| kind.title).collect();
    assert_eq!((names.len(), titles.len()), (kinds.len(), kinds.len()));
    let document = serde_json::to_value(api::document()).unwrap();
    let words = document["components"]["schemas"]["Problem"]["properties"]["type"]["description"].as_str().unwrap();
    for name in names {
        assert!(words.contains(&format!("`{name}`")), "{name}: {words}");
        assert!(name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'-'), "{name}");
    }
    for conflict in Conflict::examples() {
        assert!(kinds.iter().any(|kind| kind.slug == conflict.slug() && kind.status.as_u16() == 409), "{conflict}");
    }
}

/// R78: the table of problems is the code's. `UPDATE=1` prints it anew.
#[test]
fn the_page_of_problems_is_fresh() {
    kit::printed("docs/problems.md", &table::markdown());
}
