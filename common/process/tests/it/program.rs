//! The exits of a real process: what it says, where, and with which code.
//!
//! The process is this test binary: [`a_program`] is its `main` when it was started by [`program`].

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser as _;
use process::config::{Telemetry, Zones};
use process::exit::Exit;
use process::program;
use process::serving::{self, Serving, Told};
use process::shutdown::Stopping;
use process::telemetry::metrics::Component;
use tokio_util::sync::CancellationToken;

/// A program of the house, as small as can be.
#[derive(clap::Parser)]
#[command(name = "switchboard-test")]
struct Cli {
    /// Where it serves health
    #[arg(long, env = "OPS_LISTEN", default_value = "127.0.0.1:0")]
    ops: std::net::SocketAddr,
    /// How it goes on when it is told to stop
    #[arg(long, default_value = "ends", value_parser = ["ends", "hangs", "fails"])]
    then: String,
    #[command(flatten)]
    telemetry: Telemetry,
}

async fn serve(cli: Cli) -> anyhow::Result<Exit> {
    let two_steps = Stopping::InTwoSteps(Duration::from_secs(30));
    let stopping = if cli.then == "hangs" { Stopping::Within(Duration::from_millis(300)) } else { two_steps };
    let told = Told { telemetry: &cli.telemetry, zones: &Zones::default(), ops: cli.ops, stopping };
    let ground = serving::ground("switchboard-test", told).await?;
    let stop = ground.stop.gently;
    let (mut serving, startup) = Serving::begin(Component::Scheduler, ground.ops, &stop);
    startup.up(std::sync::Arc::new(|| Box::pin(async { Ok(()) })));
    serving.beside(std::future::pending());
    tracing::warn!("it stands"); // others' crates, of which tests are one, say nothing below
    stop.cancelled().await;
    match cli.then.as_str() {
        "hangs" => std::future::pending().await,
        "fails" => Err(Exit::BadKeys.because(anyhow::anyhow!("keys").context("it broke"))),
        _ => Ok(().into()),
    }
}

/// No test: `main` of the process that the tests below start.
#[test]
#[ignore = "started by the tests of this file"]
fn a_program() {
    let Ok(args) = std::env::var("PROGRAM_ARGS") else { return };
    let args = std::iter::once("switchboard-test").chain(args.split_whitespace());
    program::main("switchboard-test", |_| Cli::try_parse_from(args), serve).leave();
}

fn program(args: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program::a_program", "--ignored", "--nocapture"])
        .env_clear()
        .env("PROGRAM_ARGS", args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Code and words on standard error of its end, which comes by itself.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// Waits until it says that it is up, tells it to stop, and answers its end.
fn stopped(args: &str) -> (Option<i32>, String) {
    let mut child = program(args);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("it stands")), "{:?}", ended(child));
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    ended(child)
}

/// R06: a bad setting ends it with 64 and one line, before anything is begun.
#[test]
fn a_bad_setting_ends_it_with_64() {
    let (code, said) = ended(program("--ops nowhere"));
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("switchboard-test: invalid value 'nowhere' for '--ops <OPS>'"), "{said}");
}

/// R06: what fails before there are logs, and what fails after, is one line on standard error with the binary's name.
#[test]
fn an_error_is_said_where_there_are_no_logs() {
    // a URL, but none that requests can be sent to
    let (code, said) = ended(program("--otlp-endpoint http://127.0.0.1:1/<"));
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("switchboard-test: ") && said.contains("http://127.0.0.1:1/<"), "{said}");

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let (code, said) = ended(program(&format!("--ops {address} --log off")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with(&format!("switchboard-test: can't listen on {address} (OPS_LISTEN): ")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// R61: a stop that was asked for ends it with 0, one that fails with its code, and one that hangs with 1 at its deadline.
#[test]
fn a_signal_ends_it() {
    assert_eq!(stopped("--then ends"), (Some(0), String::new()));
    assert_eq!(stopped("--then fails"), (Some(78), "switchboard-test: it broke: keys\n".to_owned()));
    assert_eq!(stopped("--then hangs"), (Some(1), String::new()));
}

/// R60: health is served from the first moment to the last: who was told to stop says so, and is gone with its end.
#[tokio::test]
async fn health_is_served_until_the_end() {
    let ops = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, stop) = (ops.local_addr().unwrap(), CancellationToken::new());
    let (serving, startup) = Serving::begin(Component::Scheduler, ops, &stop);
    let ready = async || process::probe::Probe { live: false }.ask(address).await.map_err(|error| error.to_string());
    assert!(ready().await.unwrap_err().ends_with("/readyz: starting: just begun"));
    startup.up(std::sync::Arc::new(|| Box::pin(async { Ok(()) })));
    ready().await.unwrap();
    stop.cancel();
    tokio::task::yield_now().await;
    assert!(ready().await.unwrap_err().ends_with("/readyz: stopping"));
    process::probe::Probe { live: true }.ask(address).await.unwrap();
    serving.end();
    tokio::task::yield_now().await;
    assert!(ready().await.unwrap_err().contains("nothing listens"));
}
