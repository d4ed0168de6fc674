//! Keeps the right to act: renews the heartbeat in Postgres and the leases in Redis together, once per third of a
//! lease's life.
//!
//! A store that cannot be reached does not end the right: trust goes on while either store confirms it, because another
//! worker needs both to claim an account. If neither does, sending stops when trust runs out (after two thirds of the
//! lease's life), and the sockets are closed before the leases end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bells::lease::Renewal;
use domain::id::AccountId;
use process::clock::BootTime;
use process::ops::Pulse;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::Store;
use store::Error;
use store::leases::Claimed;
use tokio_util::sync::CancellationToken;

use super::balance::CLAIM_BATCH;
use super::supervisor::{Rows, Supervisor};
use crate::context::Context;

/// The time limit of one query to one store. A short lease leaves less time.
const ASK: Duration = Duration::from_secs(2);
/// The pause after a round in which neither store answered.
const SOON: Duration = Duration::from_millis(500);
/// How often the worker looks for accounts without an owner and compares its load with that of others.
const SWEEP: Duration = Duration::from_secs(2);
/// While Redis is unreachable: rows that have waited this long had a bell that did not arrive.
const BELL_LOST: Duration = Duration::from_secs(1);
/// The most accounts with waiting rows that are looked at in one round.
const LOOKS: i64 = 10_000;
/// How long one sweep and its claims may take.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Renews until stopped. Ends early only if Postgres says that this boot is over: then nothing may be done under it.
pub async fn keep(context: Arc<Context>, supervisor: Supervisor, pulse: Pulse, stop: CancellationToken) {
    tokio::select! {
        () = rounds(&context, &supervisor, &pulse, &stop) => {}
        () = watch(&context, &supervisor) => {}
    }
}

async fn rounds(context: &Context, supervisor: &Supervisor, pulse: &Pulse, stop: &CancellationToken) {
    let every = context.leases.ttl() / 3;
    let mut last = BootTime::now();
    loop {
        let start = BootTime::now();
        let pause = match renew(context, supervisor, &mut last).await {
            // the pause counts from the start of the round, as trust does
            Round::Kept => every.saturating_sub(BootTime::now().since(start)),
            Round::Unknown => SOON,
            Round::Over => {
                tracing::error!("Postgres says that this worker has stopped: closing every session");
                supervisor.lapse();
                stop.cancel();
                return;
            }
        };
        pulse.beat();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Closes every session as soon as trust has run out, whatever the current round waits for.
async fn watch(context: &Context, supervisor: &Supervisor) {
    let mut trusted = true;
    loop {
        let left = context.trust.left(BootTime::now());
        if left.is_none() {
            if trusted {
                tracing::error!("neither Postgres nor Redis answers: closing every session before its lease ends");
            }
            supervisor.lapse();
        }
        trusted = left.is_some();
        tokio::time::sleep(left.unwrap_or(SOON)).await;
    }
}

/// Looks for accounts without an owner and hands over surplus ones, until stopped.
pub async fn sweep(supervisor: Supervisor, stop: CancellationToken) {
    loop {
        let swept = tokio::time::timeout(SWEEP_TIMEOUT, supervisor.sweep()).await;
        if swept.is_err() {
            tracing::warn!("looking for accounts without an owner took too long");
        }
        let pause = if swept.is_ok_and(|claimed| claimed == CLAIM_BATCH) {
            Duration::ZERO // there may be more
        } else {
            supervisor.hand_over().await;
            supervisor.shed(SWEEP).await;
            SWEEP
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Tells the other workers not to count on this one, before it frees its first account.
pub async fn leave(context: &Context) {
    let told = tokio::time::timeout(ASK, store::workers::leaving(context.store.pool(), context.worker)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(
            "Postgres was not told that this worker leaves; others reckon with it until its heartbeat is stale"
        );
    }
}

enum Round {
    /// At least one store confirmed the right.
    Kept,
    /// Neither store answered.
    Unknown,
    /// Postgres says that this boot is over.
    Over,
}

/// One round of renewals. `last`: when Postgres accepted the last heartbeat.
async fn renew(context: &Context, supervisor: &Supervisor, last: &mut BootTime) -> Round {
    let (start, ask) = (BootTime::now(), ask(context));
    if !context.trust.holds(start) {
        supervisor.lapse(); // a lapsed right is not resumed: another worker may already be claiming
    }
    let before = supervisor.accounts();
    let claims = supervisor.claims();
    let heard = timed(Store::Postgres, tokio::time::timeout(ask, heartbeat(context, before.len()))).await;
    let owned = match heard {
        Ok(Ok(owned)) => Some(owned),
        Ok(Err(Error::NotFound)) => return Round::Over,
        Ok(Err(error)) => {
            tracing::warn!(%error, "no heartbeat in Postgres");
            None
        }
        Err(_) => {
            tracing::warn!("no heartbeat in Postgres: no answer in time");
            None
        }
    };
    let mut mine = claims;
    if let Some(owned) = &owned {
        release_orphans(context, supervisor, &before, owned).await;
        mine.retain(|(account, epoch)| {
            let ours = owned.get(account) == Some(epoch);
            if !ours {
                supervisor.fence(*account, *epoch);
            }
            ours
        });
    }
    if owned.is_some() {
        context.trust.renewed(start);
        if start.since(*last) > context.leases.ttl() {
            // others may meanwhile have marked our accounts as owned by nobody: each session writes its status again
            supervisor.look_at_own();
        }
        *last = start;
    }
    let renewal = context.leases.renew(&mine, owned.is_some());
    let renewed = timed(Store::Redis, tokio::time::timeout(ask, renewal)).await;
    release_revived(context, supervisor, &mine, ask).await;
    let redis = match renewed {
        Ok(Ok(renewals)) => {
            if owned.is_none() {
                // Postgres does not answer: an account that Redis gave to another worker is not ours any more
                for ((account, epoch), (_, renewal)) in mine.iter().zip(renewals) {
                    if renewal != Renewal::Held {
                        supervisor.fence(*account, *epoch);
                    }
                }
            }
            true
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "leases were not renewed");
            false
        }
        Err(_) => {
            tracing::warn!("leases were not renewed: no answer in time");
            false
        }
    };
    if owned.is_some() || redis {
        context.trust.renewed(start);
        if !redis {
            look_where_rows_wait(context, supervisor).await;
        }
        return Round::Kept;
    }
    Round::Unknown
}

/// Releases keys that were renewed for sessions which ended during this round. Such a key would keep every worker from
/// the account until the lease runs out.
async fn release_revived(context: &Context, supervisor: &Supervisor, renewed: &[(AccountId, i64)], ask: Duration) {
    let claims: HashSet<(AccountId, i64)> = supervisor.claims().into_iter().collect();
    let gone: Vec<(AccountId, i64)> = renewed.iter().copied().filter(|claim| !claims.contains(claim)).collect();
    if !gone.is_empty() && !matches!(tokio::time::timeout(ask, context.leases.release_claims(&gone)).await, Ok(Ok(_))) {
        tracing::debug!(count = gone.len(), "leases of ended sessions run out by themselves");
    }
}

/// Measures how long a query to one store takes, whatever the answer.
async fn timed<T>(store: Store, question: impl Future<Output = T>) -> T {
    let began = BootTime::now();
    let answer = question.await;
    metrics::RENEWAL_SECONDS.of(store).observe(BootTime::now().since(began).as_secs_f64());
    answer
}

/// The time limit of one query: two queries and the pause between rounds fit into the trust window.
fn ask(context: &Context) -> Duration {
    ASK.min(context.leases.ttl() / 6)
}

/// Without Redis no bell arrives: tells the sessions with waiting rows to look at them.
async fn look_where_rows_wait(context: &Context, supervisor: &Supervisor) {
    let waiting = store::waiting::sends_of(context.keeping.for_all_tenants(), context.worker, BELL_LOST, LOOKS);
    let Ok(Ok(accounts)) = tokio::time::timeout(ask(context), waiting).await else { return };
    for account in accounts {
        supervisor.look(account, Rows::Account);
    }
}

/// Gives back accounts that are ours in Postgres but have no session here, because a release failed or an answer was
/// lost. No other worker could claim them, as our heartbeat is fresh.
async fn release_orphans(
    context: &Context,
    supervisor: &Supervisor,
    before: &HashSet<AccountId>,
    owned: &HashMap<AccountId, i64>,
) {
    let after = supervisor.accounts();
    let orphans: Vec<Claimed> = owned
        .iter()
        .filter(|(account, _)| !before.contains(account) && !after.contains(account))
        .map(|(account, epoch)| Claimed { account: *account, epoch: *epoch })
        .collect();
    if orphans.is_empty() {
        return;
    }
    tracing::warn!(count = orphans.len(), "accounts were ours without a session: given back");
    let release = store::leases::release_claims(context.store.for_all_tenants(), context.worker, &orphans);
    if !matches!(tokio::time::timeout(ask(context), release).await, Ok(Ok(()))) {
        tracing::warn!("they could not be given back yet");
    }
}

async fn heartbeat(context: &Context, held: usize) -> store::Result<HashMap<AccountId, i64>> {
    store::workers::heartbeat(context.keeping.pool(), context.worker, i32::try_from(held).unwrap_or(i32::MAX)).await?;
    let owned = store::leases::owned_by(context.keeping.for_all_tenants(), context.worker).await?;
    Ok(owned.into_iter().map(|claim| (claim.account, claim.epoch)).collect())
}
