//! Keeps the right to act: heartbeat in Postgres and leases in Redis, together, every third of the leases' life.
//!
//! Unreachable is not lost: trust goes on while either store confirms it, because a claim by another needs both. When
//! neither does, sends stop as trust runs out (two thirds), and the sockets are closed before the leases end.

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
use super::supervisor::Supervisor;
use crate::context::Context;

/// One question to one store, at most; a short lease has less time.
const ASK: Duration = Duration::from_secs(2);
/// After a round in which neither store answered.
const SOON: Duration = Duration::from_millis(500);
/// How often accounts without an owner are looked for, and the load is compared with that of others.
const SWEEP: Duration = Duration::from_secs(2);
/// With Redis away, rows that have waited for so long had a bell that did not reach us.
const BELL_LOST: Duration = Duration::from_secs(1);
/// Accounts that are looked at in one round then.
const LOOKS: i64 = 10_000;
/// How long one look and its claims may take.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps until stopped. Ends early only when Postgres says that this boot is over: then nothing may be done under it.
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
            // from start to start: trust counts from there, too
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

/// Closes every session as soon as trust is over, whatever a round waits for just then.
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

/// Looks for accounts without an owner, and hands over what is too much, until stopped.
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

/// Tells the others not to reckon with this worker, before it frees its first account.
pub async fn leave(context: &Context) {
    let told = tokio::time::timeout(ASK, store::workers::leaving(context.store.pool(), context.worker)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::warn!(
            "Postgres was not told that this worker leaves; others reckon with it until its heartbeat is stale"
        );
    }
}

enum Round {
    /// At least one store confirmed.
    Kept,
    /// Neither answered.
    Unknown,
    /// Postgres says that we are over.
    Over,
}

/// `last`: when Postgres took the last heartbeat.
async fn renew(context: &Context, supervisor: &Supervisor, last: &mut BootTime) -> Round {
    let (start, ask) = (BootTime::now(), ask(context));
    if !context.trust.holds(start) {
        supervisor.lapse(); // a right that lapsed is not resumed: somebody may be claiming under it just now
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
            // others may have told meanwhile that nobody has our accounts: each session says what it is
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
                // Postgres can't be asked: what Redis gave to another is not ours any more
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

/// A session may have ended, and its lease have been given back, after Postgres had named it ours and before its key was
/// renewed: the key would keep everybody from the account for as long as a lease lives.
async fn release_revived(context: &Context, supervisor: &Supervisor, renewed: &[(AccountId, i64)], ask: Duration) {
    let claims: HashSet<(AccountId, i64)> = supervisor.claims().into_iter().collect();
    let gone: Vec<(AccountId, i64)> = renewed.iter().copied().filter(|claim| !claims.contains(claim)).collect();
    if !gone.is_empty() && !matches!(tokio::time::timeout(ask, context.leases.release_claims(&gone)).await, Ok(Ok(_))) {
        tracing::debug!(count = gone.len(), "leases of ended sessions run out by themselves");
    }
}

/// Measures a question to one store, whatever is answered.
async fn timed<T>(store: Store, question: impl Future<Output = T>) -> T {
    let began = BootTime::now();
    let answer = question.await;
    metrics::RENEWAL_SECONDS.of(store).observe(BootTime::now().since(began).as_secs_f64());
    answer
}

/// One question to one store: two of them and the pause between rounds fit into the trust window.
fn ask(context: &Context) -> Duration {
    ASK.min(context.leases.ttl() / 6)
}

/// No bell reaches us without Redis: has the sessions look that have rows waiting.
async fn look_where_rows_wait(context: &Context, supervisor: &Supervisor) {
    let waiting = store::waiting::sends_of(context.keeping.for_all_tenants(), context.worker, BELL_LOST, LOOKS);
    let Ok(Ok(accounts)) = tokio::time::timeout(ask(context), waiting).await else { return };
    for account in accounts {
        supervisor.look(account);
    }
}

/// Gives back what Postgres says is ours and has no session here: a release that failed, an answer that was lost. Nobody
/// else could ever claim it, as our heartbeat is fresh.
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
