//! Bad days: what a process says of a Postgres that it can't work with, that it waits, and goes on when it is mended.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use kit::{PostgresServer, Process, Processes, Program, Settings, reads, until};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::house;

/// A database `calls` of a role `ada`, with the schema.
async fn server() -> PostgresServer {
    let server = PostgresServer::start();
    server.run("postgres", &["CREATE ROLE ada LOGIN PASSWORD 'right'", "CREATE DATABASE calls OWNER ada"]).await;
    server.lets_in("host calls ada 127.0.0.1/32 scram-sha-256").await;
    store::migrate(&server.url("ada", "right", "calls")).await.unwrap();
    server
}

/// Makes it so (in which database, which statements); what readiness says; and mends it.
struct Case {
    breaks: (&'static str, &'static [&'static str]),
    says: &'static str,
    mends: (&'static str, &'static [&'static str]),
}

const CASES: [Case; 8] = [
    Case {
        breaks: ("postgres", &["ALTER ROLE ada PASSWORD 'rotated'"]),
        says: "refuses the password of role `ada`: put the right one into DATABASE_URL",
        mends: ("postgres", &["ALTER ROLE ada PASSWORD 'right'"]),
    },
    Case {
        breaks: ("postgres", &["ALTER ROLE ada NOLOGIN"]),
        says: "role `ada` may not log in",
        mends: ("postgres", &["ALTER ROLE ada LOGIN"]),
    },
    Case {
        breaks: ("postgres", &["ALTER DATABASE calls RENAME TO gone"]),
        says: "has no database `calls`: create it",
        mends: ("postgres", &["ALTER DATABASE gone RENAME TO calls"]),
    },
    Case {
        breaks: ("postgres", &["ALTER ROLE ada CONNECTION LIMIT 0"]),
        says: "has no connection left",
        mends: ("postgres", &["ALTER ROLE ada CONNECTION LIMIT -1"]),
    },
    Case {
        breaks: ("postgres", &["ALTER DATABASE calls SET default_transaction_read_only = on"]),
        says: "takes no writes (a standby, or read-only): point DATABASE_URL at the primary",
        mends: ("postgres", &["ALTER DATABASE calls RESET default_transaction_read_only"]),
    },
    Case {
        breaks: ("calls", &["ALTER TABLE runs OWNER TO postgres", "REVOKE INSERT ON runs FROM ada"]),
        says: "role `ada` may not read and write table runs of database `calls`: GRANT SELECT, INSERT, UPDATE, DELETE",
        mends: ("calls", &["ALTER TABLE runs OWNER TO ada"]),
    },
    Case {
        breaks: (
            "calls",
            &[
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
                "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON settings FOR EACH ROW EXECUTE FUNCTION full_disk()",
            ],
        ),
        says: "is full: make room",
        mends: ("calls", &["DROP TRIGGER full_disk ON settings"]),
    },
    Case {
        breaks: ("calls", &["ALTER TABLE _sqlx_migrations RENAME TO hidden"]),
        says: "database `calls` has no schema of Switchboard yet: run `switchboard-api migrate`",
        mends: ("calls", &["ALTER TABLE hidden RENAME TO _sqlx_migrations"]),
    },
];

/// R06, R60: each of these: alive at once, not ready, one line with what is wrong and what to do; ready by itself as soon as it
/// is mended.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_can_not_be_worked_with_is_named_and_waited_for() {
    let server = server().await;
    for Case { breaks, says, mends } in CASES {
        server.run(breaks.0, breaks.1).await;
        let (address, stop, running) = start(&server.url("ada", "right", "calls")).await;
        reads(address, 503, says).await;
        server.run(mends.0, mends.1).await;
        reads(address, 200, "ok").await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}

/// R06, R60: a Postgres that is not there, does not let us in, or speaks no TLS; and one that comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_can_not_be_reached_is_named_and_waited_for() {
    let server = server().await;
    let url = server.url("ada", "right", "calls");
    server.down();
    let (address, stop, running) = start(&url).await;
    reads(address, 503, "starting: Postgres at 127.0.0.1:").await;
    reads(address, 503, "can't be reached").await;
    server.up();
    reads(address, 200, "ok").await;
    stop.cancel();
    running.await.unwrap().unwrap();

    server.lets_in("").await;
    let (address, stop, running) = start(&url).await;
    reads(address, 503, "add ?sslmode=require to DATABASE_URL, or a line to pg_hba.conf").await;
    server.lets_in("host calls ada 127.0.0.1/32 scram-sha-256").await;
    reads(address, 200, "ok").await;
    stop.cancel();
    running.await.unwrap().unwrap();

    for (url, says) in [
        (format!("{url}?sslmode=require"), "speaks no TLS"),
        ("postgres://ada@nowhere.invalid/calls".to_owned(), "there is no host `nowhere.invalid`: correct the host"),
    ] {
        let (address, stop, running) = start(&url).await;
        reads(address, 503, says).await;
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), running).await.expect("a start can be stopped");
        ended.unwrap().unwrap();
    }
}

/// R60: a schema that lacks migrations is waited for; one that is newer is worked on: the release before runs on it.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_schema_is_waited_for_and_a_newer_one_is_worked_on() {
    let server = PostgresServer::start();
    server.run("postgres", &["CREATE ROLE ada LOGIN PASSWORD 'right'", "CREATE DATABASE calls OWNER ada"]).await;
    let url = server.url("ada", "right", "calls");
    let pool = store::connect(&url, 1).await.unwrap();
    let before_the_last = store::MIGRATOR.iter().map(|migration| migration.version).rev().nth(1).unwrap();
    store::MIGRATOR.run_to(before_the_last, &pool).await.unwrap();
    let (address, stop, running) = start(&url).await;
    reads(address, 503, &format!("the schema of database `calls` is old: {before_the_last}, 1 behind")).await;
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM settings").fetch_one(&pool).await.unwrap();
    assert_eq!(written, 0, "nothing is done on a schema that is older than the program");
    store::migrate(&url).await.unwrap();
    reads(address, 200, "ok").await;
    stop.cancel();
    running.await.unwrap().unwrap();

    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (29990101000000, 'of the next release', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (address, stop, running) = start(&url).await;
    reads(address, 200, "ok").await;
    store::migrate(&url).await.expect("an older `migrate` refuses nothing");
    stop.cancel();
    running.await.unwrap().unwrap();
}

fn openssl(server: &PostgresServer, words: &str) {
    let done =
        Command::new("openssl").args(words.split(' ')).current_dir(server.dir()).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A certificate for 127.0.0.1 that lives for so many days, in force at once.
async fn shows_certificate(server: &PostgresServer, days: i32) {
    let sign = "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile server.ext -out server.crt";
    openssl(server, &format!("{sign} -days {days}"));
    server.run("postgres", &["SELECT pg_reload_conf()"]).await;
}

/// R60: a certificate that has expired, or of an authority that nobody named, is waited for; `doctor` says when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_good_is_named_and_waited_for() {
    let server = server().await;
    server.lets_in("hostssl calls ada 127.0.0.1/32 scram-sha-256").await;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&server, &format!("req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority"));
    openssl(&server, &format!("req -new {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    std::fs::write(server.dir().join("server.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    server.owns(&server.dir().join("server.key"));
    shows_certificate(&server, 2).await;
    let dir = server.dir().display();
    let settings = [
        format!("ALTER SYSTEM SET ssl_cert_file = '{dir}/server.crt'"),
        format!("ALTER SYSTEM SET ssl_key_file = '{dir}/server.key'"),
        "ALTER SYSTEM SET ssl = on".to_owned(),
    ];
    server.run("postgres", &settings.each_ref().map(String::as_str)).await;
    shows_certificate(&server, -1).await;
    let url = server.url("ada", "right", "calls");
    let trusting = format!("{url}?sslmode=verify-full&sslrootcert={dir}/ca.crt");
    let (address, stop, running) = start(&trusting).await;
    reads(address, 503, "shows an expired certificate").await;
    let doctor = async || {
        let config = house::config(&format!("{url}?sslmode=require"));
        let checks = store::doctor::look(&config.database, bells::doctor::look(&config.redis)).await;
        checks.into_iter().find(|check| check.name == "postgres certificate").unwrap()
    };
    let found = doctor().await;
    assert!(found.says.contains("it has ended") && found.fix.unwrap().starts_with("renew it"), "{}", found.says);
    shows_certificate(&server, 2).await;
    reads(address, 200, "ok").await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert!(doctor().await.says.contains("in 1 days"), "{}", doctor().await.says);

    let (address, stop, running) = start(&format!("{url}?sslmode=verify-full")).await;
    reads(address, 503, "of an unknown authority").await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn start(url: &str) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<anyhow::Result<()>>) {
    let config = house::config(url);
    let listener = TcpListener::bind(config.ops.listen).await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let running = tokio::spawn(scheduler::run(config, listener, stop.clone()));
    (address, stop, running)
}

/// R06: the real process writes one line per change, however often it tries, and stays until it is told to stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_per_change_and_not_per_try() {
    let server = server().await;
    server.down();
    let settings = Settings::default().with(&[
        ("DATABASE_URL", &server.url("ada", "right", "calls")),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("LOG_FORMAT", "json"),
        ("RUST_LOG", "info"),
    ]);
    let (program, dir) = (env!("CARGO_BIN_EXE_switchboard-scheduler"), server.dir());
    let how = Processes { logs: Some(dir.to_owned()), ..Processes::of(dir) };
    let mut process = Process::start(Program::Scheduler, program.into(), "scheduler", &settings, &how).unwrap();
    let (ops, log) = (process.ops, dir.join("scheduler.log"));
    until("health is served at once", async || tokio::net::TcpStream::connect(ops).await.ok()).await;
    reads(ops, 503, "can't be reached").await;
    tokio::time::sleep(Duration::from_secs(4)).await; // some tries
    server.up();
    reads(ops, 200, "ok").await;
    let lines = std::fs::read_to_string(&log).unwrap();
    let count = |words: &str| lines.lines().filter(|line| line.contains(words)).count();
    assert_eq!(count("not started yet: Postgres at 127.0.0.1:") - count("is starting or stopping"), 1, "{lines}");
    assert_eq!(count("nothing is missing any more"), 1, "{lines}");
    assert!(!lines.contains("right"), "no password: {lines}");
    assert!(process.ended().is_none(), "it runs");
}
