//! `switchboard-demo` starts a whole cluster on one machine. For `make demo` it shows the main use step by step.
//!
//! It uses the api and the simulator only over HTTP, like any other program. Of our crates it depends only on the test
//! kit without its feature `stores`, which depends on none.

mod children;
mod cluster;
mod live;
mod place;
mod servers;
mod show;
mod stack;
mod story;
mod town;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;
use crate::place::Place;
use crate::town::Town;

/// Starts Switchboard on this machine; the make targets `demo`, `up` and `stack` run it.
#[derive(Parser)]
struct Options {
    /// What to start
    mode: Mode,
    /// The checkout
    #[arg(long)]
    root: PathBuf,
    /// Databases, logs, keys and pids
    #[arg(long)]
    data: PathBuf,
    /// The programs
    #[arg(long)]
    bin: PathBuf,
    /// How many workers
    #[arg(long, env = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// `once`: stop after the last step of the demo
    #[arg(long, env = "DEMO", default_value = "stay")]
    demo: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The main job on virtual phones, step by step
    Demo,
    /// Everything against the real WhatsApp
    Up,
    /// Everything with virtual phones, left running in the background
    Stack,
}

/// `switchboard-demo town`: virtual people who use a cluster that already runs
#[derive(Parser)]
#[command(name = "switchboard-demo town", bin_name = "switchboard-demo town")]
struct TownOptions {
    #[command(flatten)]
    town: Town,
    /// The programs
    #[arg(long, default_value = "/usr/local/bin")]
    bin: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    let outcome = if args.get(1).is_some_and(|first| first == "town") {
        args.remove(1);
        live(TownOptions::parse_from(args)).await
    } else {
        run(Options::parse()).await
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\n✗ {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the town until a signal ends it.
async fn live(options: TownOptions) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = options.town.live(&options.bin) => ended.map(|()| ExitCode::SUCCESS),
        name = asked_to_stop() => {
            println!("{name}: the town rests");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The exit code of a program that Ctrl-C ended, as shells report it.
const INTERRUPTED: u8 = 130;

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let place = Place::new(options.root, options.data, options.bin)?;
    if options.mode == Mode::Stack && stack::is_running(&place)? {
        return Ok(ExitCode::SUCCESS);
    }
    place.refuse_if_in_use().await?;

    let mut cluster = Cluster::new(place, options.workers, options.mode != Mode::Up);
    let outcome = tokio::select! {
        outcome = start_and_show(&mut cluster, options.mode, options.demo == "once") => outcome,
        name = asked_to_stop() => {
            println!("\n{name}: stopping");
            Ok(Next::Interrupted)
        }
    };
    match outcome {
        Ok(Next::Leave) => Ok(ExitCode::SUCCESS),
        Ok(Next::Stop) => cluster.stop().await.map(|()| ExitCode::SUCCESS),
        // an interruption before the demo is over is no success
        Ok(Next::Interrupted) => {
            let finished = cluster.finished;
            cluster.stop().await?;
            Ok(if finished { ExitCode::SUCCESS } else { ExitCode::from(INTERRUPTED) })
        }
        Err(error) => {
            cluster.tell_why();
            if let Err(other) = cluster.stop().await {
                eprintln!("and while stopping: {other:#}");
            }
            Err(error)
        }
    }
}

/// What happens to the processes afterwards.
enum Next {
    Stop,
    Interrupted,
    Leave,
}

async fn start_and_show(cluster: &mut Cluster, mode: Mode, once: bool) -> anyhow::Result<Next> {
    cluster.start(mode != Mode::Stack).await?;
    let at = cluster.addresses()?;
    match mode {
        Mode::Stack => {
            stack::finish(cluster, &at).await?;
            return Ok(Next::Leave);
        }
        Mode::Demo => {
            let ready = tokio::select! {
                ready = story::tell(&at) => ready?,
                died = cluster.one_died() => return Err(died),
            };
            if once {
                return Ok(Next::Stop);
            }
            story::show_addresses(&at, &ready);
        }
        Mode::Up => tokio::select! {
            linked = live::link(&at) => linked?,
            died = cluster.one_died() => return Err(died),
        },
    }
    cluster.finished = true;
    println!("\nCtrl-C stops everything.");
    Err(cluster.one_died().await)
}

async fn asked_to_stop() -> &'static str {
    let kinds = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = kinds else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "Ctrl-C",
        _ = terminate.recv() => "Asked to end",
        _ = hangup.recv() => "The terminal is gone",
    }
}
