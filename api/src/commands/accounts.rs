//! Commands about accounts: listing them, and moving one from worker to worker.
//!
//! A move is requested in a row and carried out by the workers. The owner sends what it has begun, closes the socket
//! and gives the account back. The new owner claims it under a new epoch. So there is never more than one socket,
//! whichever process dies meanwhile.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::id::{AccountId, WorkerId};
use process::clock::BootTime;
use process::config::Database;
use serde_json::json;
use store::{Store, admin, hand_overs};

use super::postgres::{open, plainly};
use super::table::{instant, or_dash, show};
use crate::config::{Accounts, Rows};

/// How long to wait for a move. Workers look for requests every two seconds, and a session takes some seconds to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn run(command: Accounts, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    match command {
        Accounts::List { rows, tenant, status, limit } => {
            let store = open(&rows.database).await?;
            let found = admin::accounts(store.for_all_tenants(), tenant, status, limit.limit).await;
            let found = found.map_err(|error| plainly(error, &rows.database))?;
            let heads = ["ID", "TENANT", "STATUS", "WORKER", "QUEUED", "CHANGED", "LABEL", "REASON"];
            show(out, rows.json, &found, heads, |account| {
                [
                    account.id.to_string(),
                    account.tenant.clone(),
                    account.status.as_str().to_owned(),
                    or_dash(account.worker.clone()),
                    account.queued.to_string(),
                    instant(account.updated_at),
                    account.label.clone(),
                    or_dash(account.reason.clone()),
                ]
            })
        }
        Accounts::Move { rows, account, to } => hand_over(&rows, account, to.as_deref(), out).await,
        Accounts::Release { rows, account } => hand_over(&rows, account, None, out).await,
    }
}

async fn hand_over(
    rows: &Rows,
    account: AccountId,
    to: Option<&str>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let store = open(&rows.database).await?;
    let before = owner(&store, account, &rows.database).await?;
    if !before.wanted {
        bail!("account {account} is not to be online: no worker has it (pair it first)");
    }
    let Some(from) = before.worker else {
        bail!("no worker has account {account} just now: whoever has room takes it within seconds");
    };
    let workers = admin::workers(store.pool(), Duration::ZERO).await;
    let workers = workers.map_err(|error| plainly(error, &rows.database))?;
    let heir = match to {
        Some(named) => named_worker(&workers, named)?,
        None => roomiest(&workers, from).context("no other worker is alive and has room: start one")?,
    };
    let asked = hand_overs::ask(store.for_all_tenants(), account, heir).await;
    asked.map_err(|error| plainly(error, &rows.database))??;
    let began = BootTime::now();
    loop {
        let now = owner(&store, account, &rows.database).await?;
        let took = BootTime::now().since(began);
        match now.worker {
            Some(worker) if now.epoch != before.epoch => {
                let name = name_of(&workers, worker);
                if rows.json {
                    let said = json!({"account_id": account, "from": from, "to": worker, "epoch": now.epoch,
                        "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX)});
                    writeln!(out, "{said}")?;
                } else {
                    let from = name_of(&workers, from);
                    writeln!(out, "{account} went from {from} to {name} in {:.1} s", took.as_secs_f64())?;
                }
                return Ok(());
            }
            _ if !now.wanted => bail!("account {account} was unpaired meanwhile"),
            _ if took > PATIENCE => bail!(
                "it was asked for and has not happened within {} s: see the logs of {} and {}",
                PATIENCE.as_secs(),
                name_of(&workers, from),
                name_of(&workers, heir)
            ),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn owner(store: &Store, account: AccountId, database: &Database) -> anyhow::Result<admin::Owner> {
    let found = admin::owner(store.for_all_tenants(), account).await.map_err(|error| plainly(error, database))?;
    found.with_context(|| format!("there is no account {account}: `accounts list` shows them"))
}

/// Pure. The live worker with this id or host name.
fn named_worker(workers: &[admin::Worker], named: &str) -> anyhow::Result<WorkerId> {
    let mut found = workers.iter().filter(|worker| worker.id.to_string() == named || worker.name == named);
    let Some(worker) = found.find(|worker| worker.state == "live") else {
        bail!("there is no live worker `{named}`: `workers list` shows them");
    };
    if found.any(|worker| worker.state == "live") {
        bail!("several workers run on host `{named}`: name one by its id (`workers list`)");
    }
    Ok(worker.id)
}

/// Pure. The live worker with room, other than `but`, that uses the smallest share of its capacity.
fn roomiest(workers: &[admin::Worker], but: WorkerId) -> Option<WorkerId> {
    let used = |worker: &&admin::Worker| i64::from(worker.held) * 1_000_000 / i64::from(worker.capacity.max(1));
    let with_room = workers.iter().filter(|w| w.id != but && w.state == "live" && w.held < w.capacity);
    with_room.min_by_key(used).map(|worker| worker.id)
}

fn name_of(workers: &[admin::Worker], id: WorkerId) -> String {
    let found = workers.iter().find(|worker| worker.id == id);
    found.map_or_else(|| id.to_string(), |worker| format!("{} ({id})", worker.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, state: &str, held: i32, capacity: i32) -> admin::Worker {
        admin::Worker {
            id: WorkerId::new(),
            name: name.to_owned(),
            state: state.to_owned(),
            release: "1".to_owned(),
            version: "1".to_owned(),
            held,
            capacity,
            started_at: process::clock::now(),
            last_seen: process::clock::now(),
        }
    }

    #[test]
    fn the_heir_is_the_one_with_most_room() {
        let workers = [
            worker("a", "live", 1, 10),
            worker("b", "live", 5, 100),
            worker("c", "leaving", 0, 100),
            worker("d", "live", 3, 3),
            worker("e", "live", 50, 100),
        ];
        assert_eq!(roomiest(&workers, workers[0].id), Some(workers[1].id));
        assert_eq!(roomiest(&workers, workers[1].id), Some(workers[0].id));
        assert_eq!(roomiest(&workers[..1], workers[0].id), None);
        assert_eq!(roomiest(&workers[2..4], workers[0].id), None);
    }

    #[test]
    fn a_worker_is_named_by_id_or_host() {
        let workers = [
            worker("a", "live", 0, 1),
            worker("b", "live", 0, 1),
            worker("b", "live", 0, 1),
            worker("c", "silent", 0, 1),
        ];
        assert_eq!(named_worker(&workers, "a").unwrap(), workers[0].id);
        assert_eq!(named_worker(&workers, &workers[2].id.to_string()).unwrap(), workers[2].id);
        for wrong in ["b", "c", "d"] {
            assert!(named_worker(&workers, wrong).is_err(), "{wrong}");
        }
    }
}
