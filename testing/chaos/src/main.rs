//! `switchboard-chaos` runs a whole cluster under load and faults, and checks whether every promise was kept. It ends
//! with one line, and with status 1 if a promise was broken. `make chaos` starts it.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people at a terminal")]

mod campaign;
mod check;
mod churn;
mod claims;
mod cluster;
mod evidence;
mod faults;
mod figures;
mod http;
mod journal;
mod ledger;
mod load;
mod occurrences;
mod owners;
mod pace;
mod part;
mod people;
mod plan;
mod postgres;
mod takeover;

use std::path::PathBuf;

use clap::Parser;
use process::exit::Exit;

use crate::campaign::Scale;
use crate::cluster::Setup;
use crate::load::Pace;

/// Faults under load, and a checker
#[derive(Parser, Debug)]
struct Args {
    /// What the schedule of faults and the load are drawn from; drawn itself if not given
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// Minutes under faults
    #[arg(long, env = "MINUTES", default_value_t = 20.0)]
    minutes: f64,
    /// Accounts that stay linked and write
    #[arg(long, env = "ACCOUNTS", default_value_t = 80)]
    accounts: usize,
    /// Accounts that unpair and pair again
    #[arg(long, default_value_t = 8)]
    fickle: usize,
    /// Phones in all
    #[arg(long, default_value_t = 240)]
    phones: usize,
    /// Messages accepted per second
    #[arg(long, env = "SENDS_PER_S", default_value_t = 12.0)]
    sends_per_s: f64,
    /// Milliseconds that a lease lives
    #[arg(long, env = "LEASE_TTL_MS", default_value_t = 6_000)]
    lease_ttl_ms: u64,
    /// Measure take-overs instead
    #[arg(long)]
    figures: bool,
    /// The checkout
    #[arg(long)]
    root: PathBuf,
    /// Where servers and logs may live
    #[arg(long)]
    data: PathBuf,
    /// Where the programs are
    #[arg(long)]
    bin: PathBuf,
}

#[tokio::main]
async fn main() -> Exit {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| rand::random_range(1..100_000));
    let scale = Scale {
        seed,
        minutes: args.minutes,
        steady: args.accounts,
        fickle: args.fickle,
        phones: args.phones,
        pace: Pace { sends_per_s: args.sends_per_s, reminders_per_s: 0.4, written_per_s: 2.0 },
    };
    let setup = Setup {
        root: args.root,
        data: args.data,
        bin: args.bin,
        workers: plan::WORKERS,
        booted: plan::WORKERS,
        lease_ttl_ms: args.lease_ttl_ms,
        skew_s: plan::skew_s(seed),
    };
    if args.figures {
        return match figures::measure(&setup).await {
            Ok(()) => Exit::Well,
            Err(error) => {
                println!("the figures could not be measured: {error:#}");
                Exit::Failed
            }
        };
    }
    let done = tokio::select! {
        done = campaign::run(&setup, scale) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match done {
        Ok(outcome) => {
            campaign::report(&outcome, scale);
            Exit::from(outcome.verdict.is_clean() && outcome.calm_after.is_some())
        }
        Err(error) => {
            println!("the campaign could not be carried through (seed {seed}): {error:#}");
            Exit::Failed
        }
    }
}
