//! Starts and ends the sessions of this worker: claims accounts, runs one actor for each, and gives them back.
//! `placement` decides how many.
//!
//! An account is claimed only after its old actor here has ended, so that one process never runs two actors for it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bells::lease::Won;
use domain::id::AccountId;
use domain::job::Bell;
use process::clock::BootTime;
use process::telemetry::metrics;
use process::telemetry::metrics::label::Label as _;
use process::telemetry::metrics::labels::{ClaimOutcome, Loss};
use process::telemetry::trace;
use store::{Fence, answered};
use tokio_util::task::TaskTracker;

use super::view::View;
use crate::context::Context;
use crate::session::actor::{Actor, Orders};
use crate::session::figures::Gap;
use crate::session::machine::state::End;

/// Which rows of an account a session should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// What the account should be; then its messages.
    Account,
    /// The messages to send.
    Outbox,
}

/// The result of a knock, which is a bell for one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knock {
    /// A session of this worker looks at its rows.
    Heard,
    /// The account was claimed just now, and its session looks at the rows.
    Claimed,
    /// Another worker has it or should have it, or this worker has no room.
    NotMine,
    /// The account needs no session.
    Nothing,
}

pub(super) struct Held {
    epoch: i64,
    pub(super) orders: Orders,
}

impl Held {
    /// Whether it was not yet told to give the account back.
    pub(super) fn stays(&self) -> bool {
        !self.orders.release.is_cancelled()
    }
}

/// The state of an account at this worker.
pub(super) enum Hold {
    /// A claim is under way.
    Claiming,
    /// It has a session.
    Live(Held),
    /// Its session has ended and it is being given back. Its claim is over, and it cannot be claimed here yet.
    Leaving,
}

impl Hold {
    pub(super) fn live(&self) -> Option<&Held> {
        match self {
            Self::Live(held) => Some(held),
            Self::Claiming | Self::Leaving => None,
        }
    }
}

/// The sessions of one worker. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) context: Arc<Context>,
    capacity: usize,
    pub(super) view: View,
    /// When this worker last took accounts that others had left.
    pub(super) overflowed: Mutex<Option<BootTime>>,
    held: Mutex<HashMap<AccountId, Hold>>,
    /// One task per session, until its account is given back.
    pub(super) tasks: TaskTracker,
    /// One task per session, until its socket is closed.
    pub(super) actors: TaskTracker,
    pub(super) stopping: AtomicBool,
}

impl Supervisor {
    /// Creates a supervisor of at most `capacity` sessions.
    #[must_use]
    pub fn new(context: Arc<Context>, capacity: usize) -> Self {
        metrics::LEASE_CAPACITY.set(capacity as f64);
        Self(Arc::new(Inner {
            context,
            capacity,
            view: View::default(),
            overflowed: Mutex::default(),
            held: Mutex::default(),
            tasks: TaskTracker::new(),
            actors: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        }))
    }

    pub(super) fn held(&self) -> MutexGuard<'_, HashMap<AccountId, Hold>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts with a live session here, and their epochs.
    #[must_use]
    pub fn claims(&self) -> Vec<(AccountId, i64)> {
        self.held().iter().filter_map(|(account, hold)| hold.live().map(|held| (*account, held.epoch))).collect()
    }

    /// Tells the account's session to look at its rows. Without a session here, claims the account if nobody has it and
    /// this worker should.
    pub async fn knock(&self, account: AccountId, rows: Rows) -> Knock {
        if self.look(account, rows) {
            return Knock::Heard;
        }
        match self.claim_if_wanted(account).await {
            Ok(None) => Knock::Nothing,
            Ok(Some(true)) => Knock::Claimed,
            Ok(Some(false)) if self.look(account, rows) => Knock::Heard,
            Ok(Some(false)) => Knock::NotMine,
            Err(error) => {
                tracing::warn!(%account, %error, "could not claim");
                Knock::NotMine
            }
        }
    }

    /// Claims an account if something waits for that. Returns whether it was claimed; `None` if nothing waits.
    async fn claim_if_wanted(&self, account: AccountId) -> anyhow::Result<Option<bool>> {
        let heard = BootTime::now();
        let waits = answered(store::leases::waits(self.0.context.store.for_all_tenants(), account)).await?;
        let Some(waits) = waits else { return Ok(None) };
        let up_to = self.up_to(waits, heard).await?;
        Ok(Some(self.claim(&[account], up_to).await?.contains(&account)))
    }

    /// Tells the account's session to look at its rows. Returns false if there is none.
    pub(super) fn look(&self, account: AccountId, rows: Rows) -> bool {
        match self.held().get(&account) {
            Some(Hold::Live(held)) => {
                match rows {
                    Rows::Account => held.orders.look.notify_one(),
                    Rows::Outbox => held.orders.mail.notify_one(),
                }
                true
            }
            Some(Hold::Claiming) => true, // its session looks as soon as it starts
            Some(Hold::Leaving) | None => false,
        }
    }

    pub(super) fn orders(&self) -> Vec<Orders> {
        self.held().values().filter_map(Hold::live).map(|held| held.orders.clone()).collect()
    }

    /// The accounts that have a session here, are being claimed or are being given back.
    #[must_use]
    pub fn accounts(&self) -> HashSet<AccountId> {
        self.held().keys().copied().collect()
    }

    /// Tells every session to look at its row.
    pub(super) fn look_at_own(&self) {
        for orders in self.orders() {
            orders.look.notify_one();
        }
    }

    /// Tells every session to look at its row, and claims accounts that nobody has. Returns how many were claimed.
    pub async fn look_at_everything(&self) -> usize {
        self.look_at_own();
        self.sweep().await
    }

    /// Claims accounts until `up_to` are held: first the key in Redis, then the epoch in Postgres, then the epoch in
    /// the key. Only then does a session start. A refusal at any step leaves no trace.
    pub(super) async fn claim(&self, accounts: &[AccountId], up_to: usize) -> anyhow::Result<Vec<AccountId>> {
        let reserved = self.reserve(accounts, up_to);
        if reserved.accounts.is_empty() || !self.0.context.trust.holds(BootTime::now()) {
            return Ok(vec![]);
        }
        let step = trace::claim(reserved.accounts.len());
        let result = self.claim_reserved(&reserved.accounts).await;
        let started = result.as_ref().map_or(0, Vec::len);
        let outcome = if result.is_ok() { ClaimOutcome::Refused } else { ClaimOutcome::Failed };
        match &result {
            Ok(_) => step.claimed(started),
            Err(_) => step.fails(&"claim"),
        }
        metrics::CLAIMS.of(outcome).inc_by((reserved.accounts.len() - started) as f64);
        metrics::CLAIMS.of(ClaimOutcome::Claimed).inc_by(started as f64);
        result
    }

    async fn claim_reserved(&self, candidates: &[AccountId]) -> anyhow::Result<Vec<AccountId>> {
        let context = &self.0.context;
        let Won { accounts: won, young } = context.leases.acquire(candidates).await?;
        let claim = store::leases::claim(context.store.for_all_tenants(), context.worker, &won, young);
        let claimed = match answered(claim).await {
            Ok(claimed) => claimed,
            Err(error) => {
                self.give_up_keys(&won).await;
                return Err(error.into());
            }
        };
        let lost: Vec<AccountId> =
            won.iter().copied().filter(|account| !claimed.iter().any(|c| c.claimed.account == *account)).collect();
        self.give_up_keys(&lost).await;
        let mut started = Vec::with_capacity(claimed.len());
        for found in claimed {
            let claim = found.claimed;
            // a claim that cannot be confirmed is given up alone: the others have sessions already
            match context.leases.confirm(claim.account, claim.epoch).await {
                Ok(true) => {
                    self.start(Fence { account: claim.account, epoch: claim.epoch }, Gap::of(&found));
                    started.push(claim.account);
                }
                Ok(false) => self.give_up_claim(claim).await,
                Err(error) => {
                    tracing::warn!(account = %claim.account, %error, "a claim could not be confirmed");
                    self.give_up_claim(claim).await;
                }
            }
        }
        Ok(started)
    }

    pub(super) async fn give_up_keys(&self, accounts: &[AccountId]) {
        if !accounts.is_empty()
            && let Err(error) = self.0.context.leases.release(accounts).await
        {
            tracing::debug!(%error, "leases run out by themselves");
        }
    }

    async fn give_up_claim(&self, claim: store::leases::Claimed) {
        let context = &self.0.context;
        let claims = [claim];
        let release = store::leases::release_claims(context.store.for_all_tenants(), context.worker, &claims);
        if let Err(error) = answered(release).await {
            tracing::warn!(account = %claim.account, %error, "a claim could not be given back; the keeper will");
        }
    }

    /// Reserves accounts so that no other task of this process claims them. Leaves out those held already.
    fn reserve(&self, accounts: &[AccountId], up_to: usize) -> Reserved {
        let mut reserved = Reserved { supervisor: self.clone(), accounts: Vec::new() };
        let mut held = self.held();
        if self.0.stopping.load(Ordering::Acquire) {
            return reserved;
        }
        let room = self.0.capacity.min(up_to).saturating_sub(held.len());
        for account in accounts {
            if reserved.accounts.len() < room && !held.contains_key(account) {
                held.insert(*account, Hold::Claiming);
                reserved.accounts.push(*account);
            }
        }
        reserved
    }

    fn forget(&self, accounts: &[AccountId]) {
        let mut held = self.held();
        for account in accounts {
            held.remove(account);
        }
        metrics::LEASES_HELD.set(held.len() as f64);
    }

    fn start(&self, fence: Fence, gap: Option<Gap>) {
        let orders = Orders::default();
        {
            let mut held = self.held();
            held.insert(fence.account, Hold::Live(Held { epoch: fence.epoch, orders: orders.clone() }));
            metrics::LEASES_HELD.set(held.len() as f64);
        }
        if self.0.stopping.load(Ordering::Acquire) {
            orders.release.cancel();
        }
        let supervisor = self.clone();
        let actor = Actor::new(Arc::clone(&self.0.context), fence, orders).after(gap);
        self.0.tasks.spawn(async move {
            let end = match supervisor.0.actors.spawn(actor.run()).await {
                Ok(end) => end,
                Err(error) => {
                    tracing::error!(account = %fence.account, %error, "a session broke; the account is given back");
                    End::Released
                }
            };
            supervisor.ended(fence, end).await;
        });
    }

    /// Gives an account back after its actor has ended and its socket is closed.
    async fn ended(&self, fence: Fence, end: End) {
        let context = &self.0.context;
        tracing::debug!(account = %fence.account, epoch = fence.epoch, ?end, "session ended");
        self.held().insert(fence.account, Hold::Leaving);
        if let Err(error) = context.leases.release(&[fence.account]).await {
            tracing::debug!(%error, "the lease runs out by itself");
        }
        let accounts = [fence.account];
        let release = store::leases::release(context.store.for_all_tenants(), context.worker, &accounts);
        if let Err(error) = answered(release).await {
            tracing::warn!(account = %fence.account, %error, "the claim could not be given back; the keeper will");
        }
        self.forget(&[fence.account]);
        let stopping = self.0.stopping.load(Ordering::Acquire);
        match end {
            // a new request (such as pairing again) raised the epoch: claim the account at once. After any other loss
            // the sweep claims it, so that a repeated failure does not become a tight loop.
            End::Lost(loss) if !stopping => {
                let lease = answered(store::leases::get(context.store.for_all_tenants(), fence.account)).await;
                let lease = lease.ok().flatten();
                let asked_anew = loss == Loss::Fenced
                    && lease.is_some_and(|lease| lease.owner.is_none_or(|owner| owner == context.worker));
                if !asked_anew {
                    tracing::warn!(account = %fence.account, epoch = fence.epoch, cause = loss.word(), "a session was lost");
                    metrics::SESSIONS_LOST.of(loss).inc();
                }
                if lease.is_some_and(|lease| lease.epoch != fence.epoch) {
                    let _ = Box::pin(self.claim(&[fence.account], self.0.capacity)).await;
                }
            }
            // another worker may take it at once
            End::Released => {
                if let Err(error) = context.doorbell.ring(&Bell::Send { account: fence.account }).await {
                    tracing::debug!(%error, "nobody was told that an account is free; their sweeps find it");
                }
            }
            End::Lost(_) | End::Settled | End::Removed | End::Unlinked => {}
        }
    }

    /// Ends the right to act under this epoch: another owner has the account, or a new request changed it.
    pub fn fence(&self, account: AccountId, epoch: i64) {
        if let Some(Hold::Live(held)) = self.held().get(&account)
            && held.epoch == epoch
        {
            held.orders.right.lose(Loss::Fenced);
        }
    }

    /// Ends the account's session in order and gives it back, if it is held under this epoch and was not told to go
    /// yet.
    pub(super) fn give_back(&self, account: AccountId, epoch: i64) -> bool {
        match self.held().get(&account) {
            Some(Hold::Live(held)) if held.epoch == epoch && held.stays() => {
                held.orders.release.cancel();
                true
            }
            _ => false,
        }
    }

    /// Ends the right to act of every session: this worker's own right has run out.
    pub fn lapse(&self) {
        for orders in self.orders() {
            orders.right.lose(Loss::Lapsed);
        }
    }
}

/// Accounts that are being claimed. When this is dropped, even halfway, those that got no session are free again.
struct Reserved {
    supervisor: Supervisor,
    accounts: Vec<AccountId>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut held = self.supervisor.held();
        for account in &self.accounts {
            if matches!(held.get(account), Some(Hold::Claiming)) {
                held.remove(account);
            }
        }
    }
}
