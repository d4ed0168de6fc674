//! What this worker knows about the fleet. It is read from the rows when a decision needs it and the last read is too
//! old.

use std::time::Duration;

use process::clock::BootTime;
use store::answered;
use tokio::sync::Mutex;

use super::placement::{Fleet, Member, Plan};
use crate::context::Context;

/// The list of workers is read again when it is this old, so that a worker which has just left is soon missing from it.
const WORKERS_FRESH: Duration = Duration::from_millis(500);
/// The maximum age of the count of all accounts when a claim is about to be refused because of it.
const WANTED_FRESH: Duration = Duration::from_secs(1);

/// The result of the last read.
#[derive(Default)]
pub struct View(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    fleet: Fleet,
    workers_at: Option<BootTime>,
    wanted_at: Option<BootTime>,
}

impl View {
    /// The plan of this worker, which holds `held` accounts. The workers are read again if the last read is older than
    /// half a second, or began before `since`; one read serves all callers that wait for it. The count of all accounts
    /// costs more: it is read once per heartbeat, or once per second if `since` is given.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn plan(&self, context: &Context, held: usize, since: Option<BootTime>) -> store::Result<Plan> {
        let mut seen = self.0.lock().await;
        let due = |at: Option<BootTime>, every| at.is_none_or(|at| BootTime::now().since(at) >= every);
        let heartbeat = context.leases.ttl() / 3;
        let wanted_fresh = if since.is_some() { heartbeat.min(WANTED_FRESH) } else { heartbeat };
        if due(seen.wanted_at, wanted_fresh) {
            let wanted = answered(store::leases::count_wanted(context.store.for_all_tenants(), wanted_fresh)).await?;
            seen.fleet.wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            seen.wanted_at = Some(BootTime::now());
        }
        if due(seen.workers_at, WORKERS_FRESH) || seen.workers_at < since {
            let at = BootTime::now();
            let live = answered(store::workers::live(context.store.pool())).await?;
            context.limiter.shared_by(u32::try_from(live.len()).unwrap_or(u32::MAX));
            seen.fleet.members = live.into_iter().map(member).collect();
            seen.workers_at = Some(at);
        }
        Ok(seen.fleet.plan(context.worker, u32::try_from(held).unwrap_or(u32::MAX)))
    }
}

fn member(live: store::workers::Live) -> Member {
    let count = |n: i32| u32::try_from(n).unwrap_or(0);
    Member {
        id: live.id,
        held: count(live.held),
        capacity: count(live.capacity),
        release: live.release,
        started_at: live.started_at,
    }
}
