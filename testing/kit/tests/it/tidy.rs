//! Rules about the source that its text can show: where a word may be written, and what a pure file may not contain.

use std::fs;
use std::path::{Path, PathBuf};

use domain::event::Kind;
use process::telemetry::lines::OURS;

mod scopes;

/// The folders of code that runs, or that tests of several crates share.
const PARTS: [&str; 11] = [
    "api",
    "common/bells",
    "common/domain",
    "common/posting",
    "common/process",
    "common/schedule",
    "common/store",
    "scheduler",
    "simulator",
    "testing/kit",
    "worker",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files in the `src` of the parts, with their paths from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in PARTS {
        collect(&root().join(part).join("src"), &mut found);
    }
    assert!(found.len() > 100, "the sources are where they were");
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Lines of code in `text` that contain `word`. Comments are left out.
fn code_with<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(word)).collect()
}

fn only_in(word: &str, homes: &[&str]) {
    for (name, text) in sources() {
        if !homes.iter().any(|home| name.starts_with(home)) {
            let lines = code_with(&text, word);
            assert!(lines.is_empty(), "{name} names `{word}`, whose home is {homes:?}: {lines:?}");
        }
    }
}

/// R05: the repository has its parts, and the workspace has the packages that the design names.
#[test]
fn the_tree_stands() {
    for path in [
        "api",
        "worker",
        "scheduler",
        "common",
        "simulator",
        "migrations",
        "helm",
        "grafana",
        "README.md",
        "Cargo.toml",
    ] {
        assert!(root().join(path).exists(), "{path}");
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for package in [
        "tokio",
        "apalis",
        "apalis-redis",
        "axum",
        "sqlx",
        "whatsapp-rust",
        "qrcode",
        "rrule",
        "redis",
        "prometheus",
        "opentelemetry",
    ] {
        assert!(manifest.lines().any(|line| line.starts_with(&format!("{package} ="))), "{package}");
    }
}

/// SQL is only in the store, and each library to the outside is used in one place.
#[test]
fn each_library_has_one_home() {
    only_in("sqlx::query", &["common/store/src", "testing/kit/src"]);
    only_in("apalis", &["common/bells/src/doorbell"]);
    only_in("rrule::", &[]); // only tests compare with it
    only_in("whatsapp_rust", &["worker/src/link"]);
    only_in("wacore", &["worker/src/link", "simulator/src"]);
    only_in("qrcode::", &["api/src/qr.rs"]);
    only_in("rlibphonenumber", &["common/domain/src/phone.rs"]);
    only_in("jsonschema", &["testing/kit/src/contract.rs"]);
    only_in("axum::serve", &["simulator/src"]); // common/process/src/door.rs counts and ends connections
    only_in("prometheus::", &["common/process/src/telemetry"]);
}

/// R02: the SQL that checks the fence is written once for one session, and once for many.
#[test]
fn the_fence_stands_once() {
    only_in("epoch = $2 FOR SHARE", &["common/store/src/fence.rs", "common/store/tests/", "testing/kit/tests/"]);
    only_in("FOR SHARE OF l", &["common/store/src/fence.rs", "testing/kit/tests/"]);
}

/// R98: events are written in one place, and their kinds are spelled out only in the registry. There are two exceptions: a query
/// that needs the index of one kind, and examples of the OpenAPI document.
#[test]
fn events_have_one_home() {
    only_in("INTO events", &[]);
    let mut migrations: Vec<_> =
        fs::read_dir(root().join("migrations")).unwrap().map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    let writers =
        migrations.iter().filter(|path| code_with(&fs::read_to_string(path).unwrap(), "INTO events").len() == 1);
    assert_eq!(writers.map(|path| path.file_name().unwrap()).collect::<Vec<_>>(), ["20261128700001_write_events.sql"]);
    for (name, text) in sources() {
        if name.starts_with("common/domain/src/event/") || name.starts_with("testing/kit/src/") {
            continue;
        }
        // a file's own tests are left out
        let code = text.split("#[cfg(test)]").next().unwrap();
        for kind in Kind::ALL {
            for quote in ['"', '\''] {
                let mut lines = code_with(code, &format!("{quote}{}{quote}", kind.as_str()));
                lines.retain(|line| !line.contains("example") && !line.contains("e.kind = 'message.received'"));
                assert!(lines.is_empty(), "{name} spells out a kind: {lines:?}");
            }
        }
    }
}

/// R77: a row has no schema. `api/src/wire` makes the API's answers from rows.
#[test]
fn rows_are_not_the_api() {
    for (name, text) in sources() {
        if name.starts_with("common/store/src") {
            let lines = code_with(&text, "ToSchema");
            assert!(lines.is_empty(), "{name}: {lines:?}");
        }
    }
}

/// R103: the keys and channels of Redis are composed in one file. Scripts are in files of their own, which contain no key.
#[test]
fn redis_keys_have_one_page() {
    for begin in [
        "lease:{",
        "signal:{",
        "bell:{",
        "rung:{",
        "taken:{",
        "ready:{",
        "ping:{",
        "doctor:{",
        "limiter:connect",
        "leases_since\"",
    ] {
        only_in(begin, &["common/bells/src/keys.rs"]);
    }
    for (name, text) in sources() {
        let inline =
            code_with(&text, "Script::new(").into_iter().filter(|line| !line.contains("include_str!(")).count();
        assert_eq!(inline, 0, "{name} holds a script");
    }
    let mut seen = 0;
    for script in fs::read_dir(root().join("common/bells/src/lua")).unwrap() {
        let text = fs::read_to_string(script.unwrap().path()).unwrap();
        for begin in ["'lease:", "'signal:", "'bell:", "'rung:", "'inbox-"] {
            assert!(!text.contains(begin), "a script spells out {begin}");
        }
        seen += 1;
    }
    assert_eq!(seen, 9, "scripts");
}

/// The simulator uses no other crate of ours, and only tests use the simulator.
#[test]
fn the_simulator_stands_apart() {
    for (name, text) in sources() {
        for word in [
            "api::",
            "bells::",
            "domain::",
            "posting::",
            "process::",
            "schedule::",
            "scheduler::",
            "store::",
            "worker::",
        ] {
            let foreign = code_with(&text, &format!("use {word}"));
            assert!(!name.starts_with("simulator/") || foreign.is_empty(), "{name}: {foreign:?}");
        }
        let imports = code_with(&text, "use simulator");
        assert!(name.starts_with("simulator/") || imports.is_empty(), "{name} imports the simulator");
    }
}

/// A file that opens with `//! Pure.` uses no clock, waits for nothing and uses no store.
#[test]
fn pure_files_are_pure() {
    let mut seen = 0;
    for (name, text) in sources() {
        if !text.starts_with("//! Pure.") {
            continue;
        }
        seen += 1;
        for word in
            ["async ", ".await", "clock::now", "BootTime::now", "Instant::now", "crate::store", "store::", "tokio::"]
        {
            let lines = code_with(&text, word);
            assert!(lines.is_empty(), "{name} is not pure: {lines:?}");
        }
    }
    assert!(seen >= 8, "only {seen} pure files");
}

/// Every file opens with its purpose, and no file has a name that says nothing.
#[test]
fn every_file_says_what_it_is_for() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} does not say what it is for");
        for word in ["utils", "helpers", "types", "manager"] {
            assert!(!name.contains(word), "{name}");
        }
    }
}

/// R99: the log treats all crates of ours as ours, so that the lines of a new crate are not filtered like those of libraries.
#[test]
fn every_crate_of_ours_is_heard() {
    for part in PARTS.iter().filter(|part| **part != "testing/kit") {
        let name = part.rsplit('/').next().unwrap();
        assert!(OURS.contains(&name), "what `{name}` says would be taken for another's");
    }
}

/// R05: Cargo enforces the borders. The crates of schedules and rules have no runtime, store or web server, unless a feature is on.
#[test]
fn the_rules_need_nothing_of_the_world() {
    for (part, foreign) in [
        ("common/schedule", ["tokio", "sqlx", "axum", "redis", "utoipa", "reqwest", "domain", "process"].as_slice()),
        ("common/domain", &["tokio", "sqlx", "axum", "redis", "utoipa", "reqwest", "process", "store"]),
        ("common/process", &["store", "bells"]),
        ("common/store", &["bells", "redis", "axum", "apalis", "utoipa"]),
        ("common/bells", &["store", "sqlx", "axum", "utoipa"]),
    ] {
        let manifest = fs::read_to_string(root().join(part).join("Cargo.toml")).unwrap();
        let needs = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for line in needs.lines().filter(|line| !line.contains("optional = true")) {
            let name = line.split(['.', ' ']).next().unwrap();
            assert!(!foreign.contains(&name), "{part} needs {name}");
        }
    }
}

/// The text of all Rust files below a folder; none if it is missing.
fn text_below(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| match path.extension() {
        _ if path.is_dir() => text_below(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}

/// The names in one section of a manifest.
fn named_in<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let text = manifest.split(&format!("\n[{section}]\n")).nth(1).unwrap_or_default();
    let lines = text.split("\n[").next().unwrap().lines();
    lines.filter_map(|line| line.split_once(['.', ' ']).map(|(name, _)| name)).filter(|name| *name != "#").collect()
}

/// R05: a manifest names what its crate uses, and nothing else: as a dependency what `src` needs, as a dependency of
/// tests what only they need.
#[test]
fn manifests_name_what_is_used() {
    let mut seen = 0;
    for part in PARTS.iter().chain(&["testing/bench", "testing/chaos", "testing/demo", "testing/e2e"]) {
        let folder = root().join(part);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let source = text_below(&folder.join("src"));
        let tests = source.clone() + &text_below(&folder.join("tests")) + &text_below(&folder.join("benches"));
        for (section, code) in [("dependencies", &source), ("dev-dependencies", &tests)] {
            for name in named_in(&manifest, section) {
                let ident = name.replace('-', "_");
                let is_used =
                    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == ident);
                assert!(is_used, "{part}: nothing uses `{name}`, one of its {section}");
                seen += 1;
            }
        }
    }
    assert!(seen > 150, "{seen} names");
}

/// The places that may write each table. An entry that is not the table's own folder gives its reason.
const HOMES: [(&str, &str); 31] = [
    ("accounts", "accounts/"),
    ("answers", "idempotency.rs"),
    ("api_keys", "api_keys.rs"),
    ("audit", "audit.rs"),
    ("credentials", "credentials/"),
    ("event_era", "era.rs"),
    ("events", "events/"),
    ("groups", "groups.rs"),
    ("hand_overs", "leases/"),
    ("idempotency_keys", "idempotency.rs"),
    ("leases", "leases/"),
    ("messages", "messages/"),
    ("notifications", "notifications/"),
    ("pairings", "accounts/"),
    ("passkeys", "accounts/"),
    ("reminder_messages", "reminders/"),
    ("reminder_targets", "reminders/"),
    ("reminders", "reminders/"),
    ("run_targets", "runs/"),
    ("runs", "runs/"),
    ("schedulers", "signs.rs"),
    ("settings", "settings.rs"),
    ("tenants", "tenants.rs"),
    ("webhook_deliveries", "webhooks/"),
    ("webhooks", "webhooks/"),
    ("workers", "workers/"),
    // the time of a sync is written together with the groups
    ("accounts", "groups.rs"),
    // accepted messages and the answer to their request are one statement
    ("answers", "messages/accept/"),
    ("idempotency_keys", "messages/accept/"),
    // removing events moves the oldest position that is kept
    ("tenants", "events/"),
    // a test write: every release has this table
    ("settings", "server.rs"),
];

/// R104: a table is written in the folder of its noun.
#[test]
fn a_table_is_written_in_the_folder_of_its_noun() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, text) in sources() {
        let Some(file) = name.strip_prefix("common/store/src/") else { continue };
        let code = text.split("#[cfg(test)]").next().unwrap();
        for verb in ["INSERT INTO ", "UPDATE ", "DELETE FROM "] {
            for (place, _) in code.match_indices(verb) {
                let rest = &code[place + verb.len()..];
                let end = rest.find(|letter: char| !(letter.is_ascii_lowercase() || letter == '_')).unwrap();
                let table = &rest[..end];
                let homes: Vec<&str> = HOMES.iter().filter(|home| home.0 == table).map(|home| home.1).collect();
                if homes.is_empty() {
                    continue; // `FOR UPDATE OF`, `ON CONFLICT DO UPDATE SET`
                }
                assert!(
                    homes.iter().any(|home| file.starts_with(home)),
                    "{file} writes `{table}`, whose home is {homes:?}"
                );
                seen.insert((table.to_owned(), homes));
            }
        }
    }
    assert!(seen.len() >= 24, "{seen:?}");
}

/// R106: no statement spells out a status of a run, a reminder or an account, or the wanted state of an account. The value is a
/// parameter that a state machine returned.
#[test]
fn statuses_come_from_machines() {
    let mut seen = 0;
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("common/store/src/")) {
        for table in ["UPDATE runs", "UPDATE reminders", "UPDATE accounts"] {
            for (place, _) in text.match_indices(table) {
                let statement = &text[place..];
                let set = statement.split("WHERE").next().unwrap();
                for word in ["status = '", "wanted = '"] {
                    assert!(!set.contains(word), "{name} writes a word of its own: {set}");
                }
                seen += usize::from(set.contains("status = "));
            }
        }
    }
    assert!(seen >= 14, "{seen} statements that write a status");
}
