//! Checks of the cluster: live workers, accounts without an owner, waiting rows.

use std::time::Duration;

use crate::admin;
use crate::scope::Store;
use process::config::Database;
use process::doctor::Check;

/// A worker that has been silent for longer is not mentioned.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// A row that waits for longer gives a warning. An account without an owner for this long is a failure.
const LONG_S: f64 = 60.0;

const NAMES: [&str; 3] = ["workers", "accounts without an owner", "what waits"];

pub(super) async fn look(database: &Database, rows: bool) -> Vec<Check> {
    let skipped = || NAMES.map(|name| Check::skipped(name, "postgres")).to_vec();
    if !rows {
        return skipped();
    }
    let Ok(pool) = crate::pool::connect_lazily(&database.url, 2) else { return skipped() };
    let store = Store::from(pool);
    let asked = tokio::try_join!(
        admin::workers(store.pool(), FORGOTTEN),
        admin::unowned(store.for_all_tenants()),
        admin::waiting(store.for_all_tenants()),
    );
    match asked {
        Ok((workers, unowned, waiting)) => vec![live(&workers), free(unowned), oldest(&waiting)],
        Err(error) => vec![Check::failed("workers", error.to_string(), "see Postgres's log")],
    }
}

/// Pure. The check of the workers.
fn live(workers: &[admin::Worker]) -> Check {
    let of = |state: &str| workers.iter().filter(|worker| worker.state == state).count();
    let live = workers.iter().filter(|worker| worker.state == "live");
    let (held, capacity) = live.fold((0_i64, 0_i64), |(held, capacity), worker| {
        (held + i64::from(worker.held), capacity + i64::from(worker.capacity))
    });
    let says = format!(
        "{} live, {} leaving, {} silent; {held} accounts of at most {capacity}",
        of("live"),
        of("leaving"),
        of("silent")
    );
    if of("live") == 0 {
        return Check::warning(NAMES[0], says, "start a worker: nobody is online and nothing is sent without one");
    }
    if of("silent") > 0 {
        return Check::warning(
            NAMES[0],
            says,
            "see why it fell silent (`workers list`); others take its accounts over",
        );
    }
    Check::ok(NAMES[0], says)
}

/// Pure. The check of accounts without an owner.
fn free((count, longest_s): (i64, f64)) -> Check {
    if count == 0 {
        return Check::ok(NAMES[1], "none");
    }
    let says = format!("{count}; the longest for {longest_s:.0} s");
    if longest_s < LONG_S {
        return Check::warning(NAMES[1], says, "workers take them within seconds: look again");
    }
    Check::failed(NAMES[1], says, "start workers, or raise WORKER_CAPACITY (`workers list` shows who has room)")
}

/// Pure. The check of waiting rows that should be handled at once.
fn oldest(waiting: &[admin::Waiting]) -> Check {
    let prompt = waiting.iter().filter(|kind| kind.what != "messages of other accounts");
    let late: Vec<String> = prompt
        .filter(|kind| kind.oldest_s.is_some_and(|s| s > LONG_S))
        .map(|kind| format!("{} {} for up to {:.0} s", kind.count, kind.what, kind.oldest_s.unwrap_or_default()))
        .collect();
    if late.is_empty() {
        let all: i64 = waiting.iter().map(|kind| kind.count).sum();
        return Check::ok(NAMES[2], format!("{all} rows, none longer than a minute that could go on"));
    }
    Check::warning(NAMES[2], late.join(", "), "see `queues`, and the logs of workers and schedulers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use process::doctor::State;

    #[test]
    fn accounts_without_an_owner_are_a_failure_when_nobody_takes_them() {
        assert_eq!(free((0, 0.0)).state, State::Ok);
        assert_eq!(free((3, 4.0)).state, State::Warning);
        assert_eq!(free((3, 61.0)).state, State::Failed);
    }

    #[test]
    fn what_waits_for_a_phone_is_no_trouble() {
        let kind = |what: &str, oldest_s| admin::Waiting { what: what.to_owned(), count: 1, oldest_s };
        assert_eq!(oldest(&[kind("messages of other accounts", Some(9_999.0)), kind("runs", None)]).state, State::Ok);
        assert_eq!(oldest(&[kind("runs", Some(61.0))]).state, State::Warning);
        assert_eq!(live(&[]).state, State::Warning);
    }
}
