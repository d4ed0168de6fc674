//! A queue that is asked no more often than is told.
//!
//! apalis asks its backend whenever its task wakes. Its own strategies of polling do not hold it back: their answer is thrown
//! away (apalis-core 1.0.0, `PollWith::poll_next`). An answered bell wakes the task again and again, so that without a pace
//! Redis would be asked thousands of times a second after each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::{Backend, BackendConfig, WireFormatBackend};
use apalis_core::worker::context::WorkerContext;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::time::{Instant, MissedTickBehavior};

/// How many questions of one consumer Redis has not answered yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// One more, until the answer comes or nobody waits for it any more.
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

/// A connection of one consumer, whose open questions are counted.
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

/// A backend that looks for the next task when it has just found one, or when it is time to; never in between.
pub(super) struct Paced<B> {
    backend: B,
    open: Open,
    ticks: tokio::time::Interval,
    /// It is time to look, or a look is under way.
    looking: bool,
}

impl<B> Paced<B> {
    /// Looks every `pace` while it finds nothing.
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
                // it found nothing: the next tick is waited for, and what fell due meanwhile is this look
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
