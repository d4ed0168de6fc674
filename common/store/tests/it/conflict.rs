//! Conflicts: slugs for programs, sentences for people.

use std::collections::HashSet;

use domain::conflict::Conflict;

/// R78: each conflict has a slug of its own, in lower case with hyphens, and a sentence that begins with a capital.
#[test]
fn each_has_a_name_and_a_sentence() {
    let all = Conflict::examples();
    let names: HashSet<&str> = all.iter().map(Conflict::slug).collect();
    assert_eq!(names.len(), all.len(), "two share a name, or one is missing");
    for conflict in &all {
        let (name, sentence) = (conflict.slug(), conflict.to_string());
        let words =
            name.split('-').all(|word| !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase()));
        assert!(words && name != "conflict", "{name}");
        assert!(sentence.starts_with(char::is_uppercase) && !sentence.ends_with('.'), "{sentence}");
    }
}
