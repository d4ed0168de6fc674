//! Problems at the start of each of the three binaries: it lives, says what is missing, does nothing, and goes on when
//! the problem is solved.

use e2e::{InProcess, Part};
use kit::{PostgresServer, Program, Settings, Starter as _, reads, redis_prefix, redis_url, settings};

const THREE: [Program; 3] = [Program::Api, Program::Worker, Program::Scheduler];

/// Starts one of the three on this database, with the Redis of `REDIS_URL`.
fn start(program: Program, url: &str) -> Part {
    let stores = [("DATABASE_URL", url), ("REDIS_URL", &redis_url()), ("REDIS_PREFIX", &redis_prefix())];
    let settings = Settings::simulated().with(&stores).with(&[("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat")]);
    InProcess.start(program, program.name(), &settings).unwrap()
}

/// R06, R60: a wrong password, no schema, no right on a table, a read-only server, a full disk: each of the three
/// reports it and waits. No worker registers, and nothing is written. Each is ready as soon as the problem is solved.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_three_waits_and_says_for_what() {
    let server = PostgresServer::start();
    server.run("postgres", &["CREATE ROLE ada LOGIN PASSWORD 'right'", "CREATE DATABASE calls OWNER ada"]).await;
    let url = server.url("ada", "right", "calls");
    let mut parts = Vec::new();
    for who in THREE {
        let part = start(who, &url);
        reads(part.ops, 503, "starting: database `calls` has no schema of Switchboard yet: run").await;
        parts.push(part);
    }
    store::migrate(&url).await.unwrap();
    for part in parts {
        reads(part.ops, 200, "ok").await;
        part.stop().await;
    }
    server.run("calls", &["DELETE FROM workers"]).await;

    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$";
    let trigger =
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION full_disk()";
    server.run("calls", &[full]).await;
    for (breaks, says, mends) in [
        ("ALTER ROLE ada PASSWORD 'rotated'", "refuses the password of role `ada`", "ALTER ROLE ada PASSWORD 'right'"),
        ("ALTER TABLE runs OWNER TO postgres", "may not read and write table runs", "ALTER TABLE runs OWNER TO ada"),
        (
            "ALTER DATABASE calls SET default_transaction_read_only = on",
            "takes no writes",
            "ALTER DATABASE calls RESET default_transaction_read_only",
        ),
        (trigger, "is full: make room", "DROP TRIGGER full_disk ON settings"),
    ] {
        server.run("calls", &[breaks]).await;
        let mut parts = Vec::new();
        for who in THREE {
            let part = start(who, &url);
            reads(part.ops, 503, says).await;
            parts.push(part);
        }
        // as the superuser, who may do everything except what the trigger forbids
        server
            .run("calls", &["DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM workers), 'a worker has registered'; END $$"])
            .await;
        server.run("calls", &["SET default_transaction_read_only = off", mends]).await;
        for part in parts {
            reads(part.ops, 200, "ok").await;
            part.stop().await;
        }
        server.run("calls", &["DELETE FROM workers"]).await;
    }
}

/// R06: a setting that several binaries have means the same in each.
#[test]
fn a_setting_means_the_same_everywhere() {
    use clap::CommandFactory as _;
    let mut known: std::collections::BTreeMap<String, (String, String)> = std::collections::BTreeMap::new();
    let all = [api::config::Cli::command(), worker::Cli::command(), scheduler::Cli::command()];
    for cli in &all {
        for setting in settings::all(cli) {
            let help = setting.arg.get_help().map(ToString::to_string).unwrap_or_default();
            let meaning = (setting.arg.get_long().unwrap_or_default().to_owned(), help);
            if setting.variable() == "OPS_LISTEN" {
                continue; // each has a port of its own
            }
            let before = known.entry(setting.variable()).or_insert_with(|| meaning.clone());
            assert_eq!(*before, meaning, "{}", setting.variable());
        }
    }
    assert!(known.len() > 15, "{known:?}");
}
