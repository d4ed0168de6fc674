//! Bad days at the start, for each of the three: they live, say what is missing, do nothing, and go on when it is mended.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use kit::PostgresServer;
use kit::settings;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Starts one of the three on this database, with a Redis of `REDIS_URL`; answers where health is served.
async fn start(
    who: &str,
    url: &str,
    stop: &CancellationToken,
) -> (SocketAddr, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let redis = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let prefix = format!("test-{}:", uuid::Uuid::new_v4().simple());
    let ops = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = ops.local_addr().unwrap();
    let name = format!("switchboard-{who}");
    let given = [name.as_str(), "--database-url", url, "--redis-url", &redis, "--redis-prefix", &prefix];
    let args = given.map(std::ffi::OsString::from);
    let stop = stop.clone();
    let running = match who {
        "api" => {
            let api::config::Command::Serve(config) = api::config::Cli::read(args).unwrap().command else { panic!() };
            let tenants = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            tokio::spawn(api::run(*config, api::Listeners { tenants, ops }, stop))
        }
        "scheduler" => {
            let scheduler::Command::Schedule(config) = scheduler::Cli::read(args).unwrap().command else { panic!() };
            tokio::spawn(scheduler::run(*config, ops, stop))
        }
        _ => {
            let more = [
                "--credential-keys",
                KEYS,
                "--whatsapp-url",
                "ws://127.0.0.1:1/ws/chat",
                "--whatsapp-version",
                "2.3000.1",
            ];
            let args = args.into_iter().chain(more.map(Into::into));
            let worker::Command::Work(config) = worker::Cli::read(args).unwrap().command else { panic!() };
            let connector = worker::link::whatsapp::from_config(&config).unwrap();
            tokio::spawn(worker::run(*config, connector, ops, stop))
        }
    };
    (address, running)
}

async fn until(who: &str, address: SocketAddr, status: u16, says: &str) {
    let began = Instant::now();
    loop {
        let live = reqwest::get(format!("http://{address}/livez")).await.unwrap();
        assert_eq!(live.status(), 200, "{who} lives");
        let ready = reqwest::get(format!("http://{address}/readyz")).await.unwrap();
        let (found, text) = (ready.status(), ready.text().await.unwrap());
        if found == status && text.contains(says) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{who}: waited for {status} {says:?}, still {found} {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// R06, R60: wrong password, no schema, no right on a table, read-only, a full disk: each of the three says it and waits; no
/// worker registers, nothing is written; it is ready as soon as it is mended.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_three_waits_and_says_for_what() {
    let server = PostgresServer::start();
    server.run("postgres", &["CREATE ROLE ada LOGIN PASSWORD 'right'", "CREATE DATABASE calls OWNER ada"]).await;
    let url = server.url("ada", "right", "calls");
    let stop = CancellationToken::new();
    let mut parts = Vec::new();
    for who in ["api", "worker", "scheduler"] {
        let (address, running) = start(who, &url, &stop).await;
        until(who, address, 503, "starting: database `calls` has no schema of Switchboard yet: run").await;
        parts.push((who, address, running));
    }
    store::migrate(&url).await.unwrap();
    for (who, address, _) in &parts {
        until(who, *address, 200, "ok").await;
    }
    stop.cancel();
    for (_, _, running) in parts {
        running.await.unwrap().unwrap();
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
        let stop = CancellationToken::new();
        server.run("calls", &[breaks]).await;
        let mut parts = Vec::new();
        for who in ["api", "worker", "scheduler"] {
            let (address, running) = start(who, &url, &stop).await;
            until(who, address, 503, says).await;
            parts.push((who, address, running));
        }
        // as superuser, who may do everything but what the trigger keeps from everybody
        server
            .run("calls", &["DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM workers), 'a worker has registered'; END $$"])
            .await;
        server.run("calls", &["SET default_transaction_read_only = off", mends]).await;
        for (who, address, _) in &parts {
            until(who, *address, 200, "ok").await;
        }
        stop.cancel();
        for (_, _, running) in parts {
            running.await.unwrap().unwrap();
        }
        server.run("calls", &["DELETE FROM workers"]).await;
    }
}

/// R06: each setting that several binaries have means the same in each.
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
                continue; // a port of its own in each
            }
            let before = known.entry(setting.variable()).or_insert_with(|| meaning.clone());
            assert_eq!(*before, meaning, "{}", setting.variable());
        }
    }
    assert!(known.len() > 15, "{known:?}");
}
