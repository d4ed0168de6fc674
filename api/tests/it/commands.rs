//! The commands of operators, against real rows: tables for people, JSON for scripts.

use std::process::{Command, Stdio};

use api::config::Cli;
use bells::lease::Leases;
use domain::event::{Event, MessageReceived};
use domain::id::{AccountId, WorkerId};
use kit::{RedisServer, redis_url};
use serde_json::Value;
use sqlx::PgPool;
use store::events::Events;
use store::workers::Boot;
use store::{Store, leases, workers};

use crate::test_api::{TestApi, database_url};

const TTL: std::time::Duration = std::time::Duration::from_secs(15);

/// Runs a command in this process; answers whether all is well, and what it printed.
async fn run(db: &PgPool, prefix: &str, words: &str) -> (bool, String) {
    let (url, redis) = (database_url(db), redis_url());
    let stores = ["--database-url", &url];
    let bells = ["--redis-url", &redis, "--redis-prefix", prefix];
    let needs_redis = ["doctor", "leases", "queues"].iter().any(|command| words.starts_with(command));
    let args = ["switchboard-api"].into_iter().chain(words.split(' ')).chain(stores);
    let args = args.chain(if needs_redis { &bells[..] } else { &[] }.iter().copied());
    let cli = Cli::read(args.map(Into::into)).unwrap();
    let mut out = Vec::new();
    let well = api::commands::run(cli.command, &mut out).await.unwrap_or_else(|error| panic!("{words}: {error:#}"));
    (well, String::from_utf8(out).unwrap())
}

async fn json(db: &PgPool, prefix: &str, words: &str) -> Value {
    serde_json::from_str(&run(db, prefix, &format!("{words} --json")).await.1).unwrap()
}

async fn fails(db: &PgPool, words: &str) -> String {
    let url = database_url(db);
    let args = ["switchboard-api"].into_iter().chain(words.split(' ')).chain(["--database-url", &url]);
    let cli = Cli::read(args.map(Into::into)).unwrap();
    let error = api::commands::run(cli.command, &mut Vec::new()).await.unwrap_err();
    format!("{error:#}")
}

/// R64: tenants and keys without a key: for the first admin, and for scripts.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn tenants_and_keys(db: PgPool) {
    let (_, id) = run(&db, "", "tenants create --name Acme").await;
    let tenant = id.trim();
    assert!(run(&db, "", "tenants list").await.1.contains(&format!("{tenant}  ")));
    assert_eq!(json(&db, "", "tenants list").await[0]["name"], "Acme");
    let (_, secret) = run(&db, "", &format!("keys create --tenant {tenant} --name ci")).await;
    assert!(secret.starts_with("sb_t_") && secret.lines().count() == 1, "{secret}");
    let made = json(&db, "", "keys create --admin --name boot").await;
    assert!(made["secret"].as_str().unwrap().starts_with("sb_a_"), "{made}");
    let (_, table) = run(&db, "", "keys list").await;
    assert!(
        table.starts_with("ID ") && table.contains(&format!("tenant {tenant}")) && table.contains("valid"),
        "{table}"
    );
    assert!(!table.contains(secret.trim()), "{table}");
    let id = made["id"].as_str().unwrap();
    run(&db, "", &format!("keys revoke {id}")).await;
    let keys = json(&db, "", "keys list").await;
    let revoked = keys.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    assert!(revoked["revoked_at"].is_string() && revoked["secret"].is_null(), "{revoked}");
    let says = fails(&db, "keys create --tenant 0199c0de-0000-7000-8000-000000000000 --name x").await;
    assert_eq!(says, "no key was created: not found");
}

/// R60, R64: accounts, workers, leases and what waits, as Postgres and Redis have them; no number is shown.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_has_what(db: PgPool) {
    let store = Store::from(db.clone());
    let api = TestApi::start(db.clone()).await;
    let prefix = api.redis_prefix.clone();
    let tenant = api.tenant().await;
    let (online, other) = (tenant.account("Front desk").await, tenant.account("Back office").await);
    api.set_status(&online, "connected").await;
    let worker = WorkerId::new();
    let boot = Boot { name: "host-1", holds_name: false, version: "1", release: "r", capacity: 7, lease: TTL };
    workers::register(&db, worker, boot).await.unwrap();
    workers::heartbeat(&db, worker, 1).await.unwrap();
    let account = online.parse().unwrap();
    let held = Leases::connect(&redis_url(), &prefix, worker, TTL).unwrap();
    held.acquire(&[account]).await.unwrap();
    sqlx::query("UPDATE leases SET owner = NULL").execute(&db).await.unwrap();
    sqlx::query("DELETE FROM workers WHERE name <> 'host-1'").execute(&db).await.unwrap();
    let claimed = leases::claim(store.for_all_tenants(), worker, &[account], false).await.unwrap();
    assert!(held.confirm(account, claimed[0].claimed.epoch).await.unwrap());

    let workers = json(&db, &prefix, "workers list").await;
    assert_eq!(
        (&workers[0]["name"], &workers[0]["state"], &workers[0]["held"]),
        (&"host-1".into(), &"live".into(), &1.into())
    );
    let lease = json(&db, &prefix, "leases list").await;
    assert_eq!((&lease[0]["account_id"], &lease[0]["worker"]), (&online.as_str().into(), &"host-1".into()));
    assert_eq!(
        (&lease[0]["redis"], &lease[0]["alive"], lease.as_array().unwrap().len()),
        (&"held".into(), &true.into(), 1)
    );
    assert_eq!(json(&db, &prefix, "leases list --worker host-2").await, serde_json::json!([]));
    held.release(&[account]).await.unwrap();
    assert_eq!(json(&db, &prefix, "leases list --worker host-1").await[0]["redis"], "missing");

    let accounts = json(&db, &prefix, "accounts list").await;
    assert_eq!(accounts.as_array().unwrap().len(), 2);
    let connected = json(&db, &prefix, "accounts list --status connected").await;
    assert_eq!((&connected[0]["label"], &connected[0]["worker"]), (&"Front desk".into(), &"host-1".into()));
    let (_, table) = run(&db, &prefix, &format!("accounts list --tenant {}", tenant.tenant.unwrap())).await;
    assert!(table.contains("Back office") && !table.contains("49170"), "no number: {table}");

    let queues = json(&db, &prefix, "queues").await;
    let of = |what: &str| {
        queues.as_array().unwrap().iter().find(|row| row["what"].as_str().unwrap().starts_with(what)).cloned()
    };
    assert_eq!(of("claim").unwrap()["waiting"], 0);
    assert!(of("inbox of host-1").is_some() && of("messages of connected accounts").is_some(), "{queues}");
    assert_eq!(queues.as_array().unwrap().len(), 2 + 1 + 7, "{queues}");

    for (words, says) in [
        (format!("accounts release {other}"), "is not to be online"),
        (format!("accounts release {online}"), "no other worker is alive and has room"),
        (format!("accounts move {online} --to host-9"), "there is no live worker `host-9`"),
        (format!("accounts move {online} --to host-1"), "that worker has the account already"),
        ("accounts release 0199c0de-0000-7000-8000-000000000000".to_owned(), "there is no account"),
    ] {
        let said = fails(&db, &words).await;
        assert!(said.contains(says), "{words}: {said}");
    }
}

/// Somebody wrote this text.
fn received(text: &str) -> Event {
    Event::MessageReceived(MessageReceived {
        account_id: AccountId::new(),
        chat: "49@s.whatsapp.net".to_owned(),
        sender: "49@s.whatsapp.net".to_owned(),
        sender_name: None,
        sender_number: None,
        sender_lid: None,
        whatsapp_id: "3EB0".to_owned(),
        text: Some(text.to_owned()),
        kind: "text".to_owned(),
        at: chrono::DateTime::UNIX_EPOCH,
        from_me: false,
    })
}

/// R63, R64: what happens, by kind and id; the data only where it is asked for.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn events_without_and_with_their_data(db: PgPool) {
    let api = TestApi::start(db.clone()).await;
    let (one, two) = (api.tenant().await, api.tenant().await);
    for tenant in [&one, &two] {
        let events = Events::one(tenant.tenant.unwrap(), None, &received("s3cret"));
        events.write(&mut db.acquire().await.unwrap()).await.unwrap();
    }
    let began = std::time::Instant::now();
    let table = loop {
        let (_, table) = run(&db, "", "events tail").await;
        if table.lines().count() == 3 {
            break table;
        }
        // an event is shown when no transaction of the server is older, and other tests have theirs
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{table}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(table.contains("message.received") && !table.contains("s3cret"), "{table}");
    let of_one = format!("events tail --tenant {} --kind message.received --data --json", one.tenant.unwrap());
    let (_, lines) = run(&db, "", &of_one).await;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let event: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&event["data"]["text"], &event["kind"]), (&"s3cret".into(), &"message.received".into()));
    assert_eq!(run(&db, "", "events tail --kind nothing --json").await.1, "");
}

/// R06: the schema from nothing to up to date, what `--wait` says of it, and what `migrate` says the second time.
#[sqlx::test(migrations = false)]
async fn the_schema_is_brought_up_to_date_and_waited_for(db: PgPool) {
    let url = database_url(&db);
    let process = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard-api"));
        command.args(args).env_clear().env("DATABASE_URL", &url).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let done = process(&["migrate", "--wait", "--timeout-s", "1"]).await.unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("waited 1 s in vain") && said.contains("has no schema of Switchboard yet"), "{said}");
    let waiting = process(&["migrate", "--wait", "--timeout-s", "60"]);
    let done = process(&["migrate"]).await.unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        done.status.success() && said.starts_with("the schema was brought from an empty database to 2026"),
        "{said}"
    );
    let waited = waiting.await.unwrap();
    assert!(waited.status.success(), "{waited:?}");
    let again = process(&["migrate"]).await.unwrap();
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && said.contains("nothing to do"), "{said}");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (29990101000000, 'of the next release', true, '', 0)",
    )
    .execute(&db)
    .await
    .unwrap();
    let newer = process(&["migrate"]).await.unwrap();
    let said = String::from_utf8(newer.stdout).unwrap();
    assert!(newer.status.success() && said.contains("newer than this binary"), "{said}");
}

/// R60: `doctor` finds a sound installation sound, and names what is wrong with an unsound one, with what to do.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_doctor_looks_at_everything(db: PgPool) {
    let (well, table) = run(&db, "t:", "doctor").await;
    assert!(well, "{table}");
    for name in ["postgres schema", "postgres rights", "postgres clock", "redis lease", "redis signal", "workers"] {
        assert!(table.contains(name), "{name}: {table}");
    }
    assert!(!table.contains("FAILED") && table.contains("→ start a worker"), "a cluster without workers: {table}");
    let found = json(&db, "t:", "doctor").await;
    assert_eq!(found["ok"], true);

    let server = RedisServer::start();
    let redis = redis::Client::open(server.url()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let mut policy = redis::cmd("CONFIG");
    policy.arg("SET").arg("maxmemory-policy").arg("allkeys-lru").exec_async(&mut connection).await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&db)
        .await
        .unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_switchboard-api"))
        .args(["doctor", "--json"])
        .env_clear()
        .env("DATABASE_URL", database_url(&db))
        .env("REDIS_URL", server.url())
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let found: Value = serde_json::from_slice(&done.stdout).unwrap();
    let of =
        |name: &str| found["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone();
    assert_eq!(of("postgres schema")["state"], "failed");
    assert!(of("postgres schema")["fix"].as_str().unwrap().contains("switchboard-api migrate"), "{found}");
    assert_eq!(of("postgres rights")["state"], "skipped");
    assert_eq!(
        (of("redis policy")["state"].clone(), of("redis lease")["state"].clone()),
        ("warning".into(), "ok".into())
    );
}
