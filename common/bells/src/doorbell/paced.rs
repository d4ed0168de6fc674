//! Limits how often a queue is polled.
//!
//! apalis polls its backend whenever its task wakes. Its own polling strategies do not limit this, because their result
//! is ignored (apalis-core 1.0.0, `PollWith::poll_next`). An answered bell wakes the task repeatedly, so that without a
//! limit Redis would be queried thousands of times a second after each bell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::{Backend, BackendConfig, WireFormatBackend};
use apalis_core::worker::context::WorkerContext;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::time::{Instant, MissedTickBehavior};

/// How many queries of one consumer are waiting for Redis.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// Counts one more query, until it is answered or dropped.
    fn one(&self) -> Asked {
        self.0.fetch_add(1, Ordering::AcqRel);
        Asked(self.clone())
    }
}

struct Asked(Open);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The connection of one consumer. Counts its open queries.
#[derive(Clone)]
pub(super) struct Line {
    connection: ConnectionManager,
    open: Open,
}

impl Line {
    pub(super) fn new(connection: ConnectionManager) -> Self {
        Self { connection, open: Open::default() }
    }

    pub(super) fn open(&self) -> Open {
        self.open.clone()
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let asked = self.open.one();
        let answer = self.connection.req_packed_command(cmd);
        Box::pin(async move {
            let _asked = asked;
            answer.await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let asked = self.open.one();
        let answer = self.connection.req_packed_commands(pipeline, offset, count);
        Box::pin(async move {
            let _asked = asked;
            answer.await
        })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// A backend that looks for the next task only right after it found one, or when the next tick is due.
pub(super) struct Paced<B> {
    backend: B,
    open: Open,
    ticks: tokio::time::Interval,
    /// Whether a look is due or under way.
    looking: bool,
}

impl<B> Paced<B> {
    /// Creates a backend that looks every `pace` while it finds nothing.
    pub(super) fn new(backend: B, open: Open, pace: Duration) -> Self {
        let mut ticks = tokio::time::interval_at(Instant::now() + pace, pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { backend, open, ticks, looking: true }
    }
}

impl<B: Backend> Backend for Paced<B> {
    type Task = B::Task;
    type Error = B::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        self.backend.poll_ready(cx, worker)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        loop {
            if !self.looking {
                ready!(self.ticks.poll_tick(cx));
                self.looking = true;
            }
            match self.backend.poll_next(cx, worker) {
                // there may be more
                Poll::Ready(task) => return Poll::Ready(task),
                Poll::Pending if self.open.any() => return Poll::Pending,
                // it found nothing: wait for the next tick; ticks that fell due during this look are skipped
                Poll::Pending => {
                    self.looking = false;
                    self.ticks.reset();
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        self.backend.poll_close(cx, worker)
    }
}

apalis_core::delegate_config!(Paced<B>, backend);
apalis_core::delegate_codec!(Paced<B>, backend);
