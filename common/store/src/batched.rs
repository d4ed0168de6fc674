//! Group commit: calls of many sessions or requests that arrive while others are being written go out together, in one
//! statement. The webhooks of a worker write in the same way, each by its own right.
//!
//! A call goes out at once if nothing is under way, so a lone call waits no longer than one that is written alone. Each
//! call keeps its own fence and gets its own answer. A call whose values can't be stored fails alone.
//!
//! Calls for one account (or webhook) keep their order: an account is in one batch at a time, and a batch that failed because the
//! database was away goes back to the front of the line. So what a session wrote first can't replace what it wrote
//! later. For sessions this holds because the server itself ends a statement that takes too long
//! ([`connect_impatiently`]): none is left behind that could write after a later one. A webhook compares its position. A call that nobody waits for any more is dropped, unless it is
//! under way.
//!
//! If a batch fails because of one of its calls (values that can't be stored, a row that another transaction has locked,
//! a deadlock), each of its calls goes out alone. So one account that is locked does not hold up the others.
//!
//! [`connect_impatiently`]: crate::connect_impatiently

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::pool::answered;

/// How many batches of one kind may be under way at the same time, unless the kind says otherwise.
const MOST: usize = 4;
/// How many of those may be calls that go out alone. Such a call may wait for a lock.
const MOST_ALONE: usize = 2;
/// The most rows in one batch. A call with more rows goes out alone.
const ROWS: usize = 512;
/// The shortest and the longest wait before a batch goes out again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Whom a call is for, and with which right it is made.
pub(crate) trait Right: Copy + Send + Sync + 'static {
    /// Whom it is for: the id of an account or a webhook. Calls for one keep their order.
    fn whose(self) -> Uuid;

    /// Whether two calls for one have the same right, so that they may go out together.
    fn agrees_with(self, other: Self) -> bool;
}

impl Right for Fence {
    fn whose(self) -> Uuid {
        self.account.0
    }

    fn agrees_with(self, other: Self) -> bool {
        self.epoch == other.epoch
    }
}

/// How the calls of one kind are written together.
pub(crate) trait Batch: Send + Sync + 'static {
    /// Whom a call is for.
    type Right: Right;
    /// What it is written with.
    type Means: Clone + Send + Sync + 'static;
    /// One call.
    type Call: Send + Sync + 'static;
    /// The answer to a call.
    type Done: Send + 'static;

    /// What is written, for the log.
    const WHAT: &'static str;

    /// How many rows a call has.
    fn rows(call: &Self::Call) -> usize;

    /// Whether the call must not go out any more, although somebody may still wait for it.
    fn is_closed(_call: &Self::Call) -> bool {
        false
    }

    /// Whether a batch may hold only one call of an account.
    fn one_per_account() -> bool {
        false
    }

    /// Whether calls wait for a database that is away. Otherwise they fail at once, and whoever asked decides whether to
    /// ask again.
    fn waits() -> bool {
        true
    }

    /// How many batches of this kind may be under way at the same time.
    fn most(_means: &Self::Means) -> usize {
        MOST
    }

    /// Carries out all calls, in order. Returns one answer for each; `Fenced` if its fence does not hold. All calls of one
    /// account have the same fence. An error means that nothing was written, unless the database was away: then it is
    /// unknown.
    fn run(
        means: &Self::Means,
        calls: &[(Self::Right, Self::Call)],
    ) -> impl Future<Output = Result<Vec<Result<Self::Done>>>> + Send;
}

/// The calls of one process: a line for each kind of call, which begins with the first one.
#[derive(Debug)]
pub(crate) struct Batches {
    pool: PgPool,
    lines: Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>,
}

impl Batches {
    pub(crate) fn on(pool: PgPool) -> Self {
        Self { pool, lines: Mutex::default() }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Writes one call, as [`Batched::call`].
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn call<B: Batch<Means = PgPool>>(&self, fence: B::Right, call: B::Call) -> Result<B::Done> {
        self.line::<B>().call(fence, call).await
    }

    /// Tells the calls of one kind that are closed so.
    pub(crate) fn sweep<B: Batch<Means = PgPool>>(&self) {
        self.line::<B>().sweep();
    }

    fn line<B: Batch<Means = PgPool>>(&self) -> Batched<B> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(TypeId::of::<B>()).or_insert_with(|| Box::new(Batched::<B>::new(self.pool.clone())));
        line.downcast_ref::<Batched<B>>().cloned().unwrap_or_else(|| Batched::new(self.pool.clone()))
    }
}

/// The calls of one kind. Cheap to clone.
pub(crate) struct Batched<B: Batch>(Arc<Inner<B>>);

struct Inner<B: Batch> {
    means: B::Means,
    line: Mutex<Line<B>>,
}

struct Line<B: Batch> {
    waiting: VecDeque<Waiting<B>>,
    /// The accounts (or webhooks) of the batches under way.
    accounts: HashSet<Uuid>,
    under_way: usize,
    /// How many of those are calls that go out alone.
    alone: usize,
    /// Whether the database was away a moment ago.
    resting: bool,
    pause: Duration,
}

struct Waiting<B: Batch> {
    fence: B::Right,
    call: B::Call,
    answer: oneshot::Sender<Result<B::Done>>,
    /// Whether it goes out alone, after a batch with it has failed.
    is_alone: bool,
}

impl<B: Batch> Waiting<B> {
    /// The call, if somebody waits for it and it is not closed.
    fn still_goes(self) -> Option<Self> {
        if B::is_closed(&self.call) {
            let _ = self.answer.send(Err(Error::Closed));
            return None;
        }
        (!self.answer.is_closed()).then_some(self)
    }
}

impl<B: Batch> Clone for Batched<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Batch> fmt::Debug for Batched<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batched").field("what", &B::WHAT).finish_non_exhaustive()
    }
}

impl<B: Batch> Batched<B> {
    pub(crate) fn new(means: B::Means) -> Self {
        let line = Line {
            waiting: VecDeque::new(),
            accounts: HashSet::new(),
            under_way: 0,
            alone: 0,
            resting: false,
            pause: FIRST_PAUSE,
        };
        Self(Arc::new(Inner { means, line: Mutex::new(line) }))
    }

    /// Carries out one call together with others, and waits for the answer. A database that is away is asked again and
    /// again if the calls of this kind wait ([`Batch::waits`]): whoever can't wait for that drops the future.
    ///
    /// # Errors
    /// `Fenced` under an old epoch; `Closed` if the call is closed; otherwise if its values can't be stored, or if the
    /// database is away and calls of this kind don't wait.
    pub(crate) async fn call(&self, fence: B::Right, call: B::Call) -> Result<B::Done> {
        let (answer, done) = oneshot::channel();
        self.line().waiting.push_back(Waiting { fence, call, answer, is_alone: false });
        self.start();
        // the sender is dropped only if the task breaks
        done.await.unwrap_or_else(|_| Err(Error::Unavailable(format!("{}: the task that wrote it broke", B::WHAT))))
    }

    fn line(&self) -> MutexGuard<'_, Line<B>> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts batches as long as there is work and room.
    fn start(&self) {
        let Ok(runtime) = Handle::try_current() else { return }; // the process ends
        while let Some((batch, under_way)) = self.next() {
            // without the lock: a runtime that ends drops the task at once
            runtime.spawn(under_way.write(batch));
        }
    }

    /// Takes the next batch, if there is one and room for it.
    fn next(&self) -> Option<(Vec<Waiting<B>>, UnderWay<B>)> {
        let mut line = self.line();
        let most = B::most(&self.0.means);
        if line.resting || line.under_way >= most {
            return None;
        }
        let batch = line.take(MOST_ALONE.min(most - 1).max(1));
        let is_alone = batch.first()?.is_alone;
        let accounts: Vec<Uuid> = batch.iter().map(|waiting| waiting.fence.whose()).collect();
        line.accounts.extend(&accounts);
        line.under_way += 1;
        line.alone += usize::from(is_alone);
        Some((batch, UnderWay { batched: self.clone(), accounts, is_alone }))
    }

    /// Tells the calls that are closed so. They go out no more.
    pub(crate) fn sweep(&self) {
        self.line().sweep();
    }

    /// Puts calls back to the front of the line, because the database was away, and asks again after a pause.
    fn wait(&self, calls: Vec<Waiting<B>>, error: &Error) {
        let mut line = self.line();
        line.put_back(calls);
        if line.resting || line.waiting.is_empty() {
            return;
        }
        tracing::warn!(%error, calls = line.waiting.len(), "{} waits for the database", B::WHAT);
        line.resting = true;
        let pause = line.pause;
        line.pause = (pause * 2).min(LONGEST_PAUSE);
        drop(line);
        let batched = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            batched.line().resting = false;
            batched.start();
        });
    }
}

impl<B: Batch> Line<B> {
    fn put_back(&mut self, calls: Vec<Waiting<B>>) {
        for waiting in calls.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        self.sweep();
    }

    /// Puts the call of one account behind all others, with the account's later calls behind it.
    fn defer(&mut self, call: Vec<Waiting<B>>) {
        let Some(account) = call.first().map(|waiting| waiting.fence.whose()) else { return };
        let (own, others): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.fence.whose() == account);
        self.waiting = others.into_iter().chain(call).chain(own).collect();
        self.sweep();
    }

    /// Drops the calls that nobody waits for, and tells those that are closed.
    fn sweep(&mut self) {
        let swept = std::mem::take(&mut self.waiting).into_iter().filter_map(Waiting::still_goes);
        self.waiting = swept.collect();
    }

    /// Takes the calls of the next batch, in order. An account that is under way, or that does not fit, waits with all
    /// its calls. Of those that go out alone, at most `most_alone` are under way.
    fn take(&mut self, most_alone: usize) -> Vec<Waiting<B>> {
        let (mut batch, mut left, mut rows) = (Vec::new(), VecDeque::new(), 0);
        let mut rights: HashMap<Uuid, B::Right> = HashMap::new();
        let mut passed = HashSet::new();
        while let Some(waiting) = self.waiting.pop_front() {
            let Some(waiting) = waiting.still_goes() else { continue };
            let account = waiting.fence.whose();
            let size = B::rows(&waiting.call);
            let is_full = rows > 0 && (rows + size > ROWS || waiting.is_alone);
            let is_held_up = waiting.is_alone && self.alone >= most_alone;
            if is_full
                || is_held_up
                || self.accounts.contains(&account)
                || passed.contains(&account)
                || rights.get(&account).is_some_and(|other| !other.agrees_with(waiting.fence) || B::one_per_account())
            {
                passed.insert(account);
                left.push_back(waiting);
                if rows >= ROWS {
                    break;
                }
            } else {
                let is_alone = waiting.is_alone;
                rows += size;
                rights.insert(account, waiting.fence);
                batch.push(waiting);
                if is_alone {
                    break;
                }
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        batch
    }
}

fn joined<B: Batch>(
    calls: Vec<(B::Right, B::Call)>,
    answers: Vec<oneshot::Sender<Result<B::Done>>>,
    is_alone: bool,
) -> Vec<Waiting<B>> {
    let waiting = calls.into_iter().zip(answers);
    waiting.map(|((fence, call), answer)| Waiting { fence, call, answer, is_alone }).collect()
}

/// One answer for each call: what was found for its account; `Fenced` if the fence did not hold, so that nothing was. If
/// there are several calls for an account, the first gets it, so that nothing is counted twice.
pub(crate) fn answers<C, D: Default>(calls: &[(Fence, C)], mut found: HashMap<Uuid, D>) -> Vec<Result<D>> {
    let answer = |(fence, _): &(Fence, C)| found.get_mut(&fence.account.0).map(std::mem::take).ok_or(Error::Fenced);
    calls.iter().map(answer).collect()
}

/// A batch under way. When it is dropped, its accounts are free and the next batch starts, also if it broke.
struct UnderWay<B: Batch> {
    batched: Batched<B>,
    accounts: Vec<Uuid>,
    is_alone: bool,
}

impl<B: Batch> UnderWay<B> {
    async fn write(self, batch: Vec<Waiting<B>>) {
        let (calls, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| ((waiting.fence, waiting.call), waiting.answer)).unzip();
        match answered(B::run(&self.batched.0.means, &calls)).await {
            Ok(done) => {
                self.batched.line().pause = FIRST_PAUSE;
                for (answer, done) in answers.into_iter().zip(done) {
                    let _ = answer.send(done); // whoever asked may have gone
                }
            }
            // one of them may be to blame: its values, or a row of it that another transaction has locked
            Err(error) if calls.len() > 1 && (!error.is_transient() || error.is_of_the_call()) => {
                tracing::warn!(%error, calls = calls.len(), "{} can't go out together: trying each alone", B::WHAT);
                self.batched.line().put_back(joined(calls, answers, true));
            }
            Err(error) if error.is_of_the_call() => {
                let account = self.accounts.first();
                tracing::warn!(%error, account = account.map(tracing::field::display), "{} could not go out: again", B::WHAT);
                self.batched.line().defer(joined(calls, answers, true));
            }
            Err(error) if error.is_transient() && B::waits() => {
                self.batched.wait(joined(calls, answers, self.is_alone), &error);
            }
            Err(error) => {
                let (says, mut error) = (error.in_words(), Some(error));
                for answer in answers {
                    let _ = answer.send(Err(error.take().unwrap_or_else(|| Error::Unavailable(says.clone()))));
                }
            }
        }
    }
}

impl<B: Batch> Drop for UnderWay<B> {
    fn drop(&mut self) {
        let mut line = self.batched.line();
        for account in &self.accounts {
            line.accounts.remove(account);
        }
        line.under_way -= 1;
        line.alone -= usize::from(self.is_alone);
        drop(line);
        self.batched.start();
    }
}

#[cfg(test)]
mod tests;
