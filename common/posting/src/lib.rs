//! Delivers webhooks: claims those that no live worker owns, and follows each in a task of its own. Webhooks run beside
//! the sessions and must not slow them down, so they use few queries and connections at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::id::{TenantId, WebhookId};
use process::telemetry::metrics;
use store::answered;
use store::webhooks::follow;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::means::Means;
use self::webhook::Follower;

mod attempt;
mod follower;
pub mod http;
mod kept;
mod lookup;
pub mod means;
mod page;
mod webhook;

/// How often webhooks are claimed: new ones, and those of workers that are gone.
const LOOK: Duration = Duration::from_secs(2);
/// The most webhooks claimed at once, so that workers that start together share the free ones.
const CLAIMS: i64 = 50;
/// After how many claims the backlog is counted.
const COUNTED_EVERY: u32 = 8;
/// How long a stop waits for requests under way.
const STOP_MAX: Duration = Duration::from_secs(3);

/// Claims and follows webhooks until `stop` is cancelled. Then requests under way may end, and all webhooks are given
/// back.
pub async fn keep(means: Arc<Means>, stop: CancellationToken) {
    let mut followers = Followers::default();
    let mut looks = 0_u32;
    loop {
        let claim = follow::claim(means.store.for_all_tenants(), means.worker, CLAIMS);
        match answered(claim).await {
            Ok(held) => followers.are(&held, &means, &stop),
            Err(error) => tracing::debug!(%error, "webhooks were not claimed; the next look comes"),
        }
        if looks.is_multiple_of(COUNTED_EVERY)
            && let Ok(backlog) = answered(follow::backlog(means.store.for_all_tenants(), means.worker)).await
        {
            metrics::WEBHOOK_BACKLOG.set(backlog as f64);
        }
        looks = looks.wrapping_add(1);
        if tokio::time::timeout(LOOK, stop.cancelled()).await.is_ok() {
            break;
        }
    }
    let ended = async { while followers.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
        followers.tasks.abort_all();
    }
    metrics::WEBHOOKS_HELD.set(0.0);
    metrics::WEBHOOK_BACKLOG.set(0.0);
    if let Err(error) = answered(follow::release(means.store.for_all_tenants(), means.worker)).await {
        tracing::warn!(%error, "webhooks were not given back; others take them when this worker has stopped");
    }
}

/// The task of each webhook.
#[derive(Default)]
struct Followers {
    tasks: JoinSet<()>,
    of: HashMap<WebhookId, AbortHandle>,
}

impl Followers {
    /// Starts followers that are new or have ended, and ends those of webhooks that are no longer ours.
    fn are(&mut self, held: &[(TenantId, WebhookId)], means: &Arc<Means>, stop: &CancellationToken) {
        while self.tasks.try_join_next().is_some() {}
        let ours: HashSet<WebhookId> = held.iter().map(|(_, webhook)| *webhook).collect();
        self.of.retain(|webhook, task| {
            let stays = ours.contains(webhook);
            if !stays {
                task.abort();
            }
            stays && !task.is_finished()
        });
        for &(tenant, webhook) in held {
            if !self.of.contains_key(&webhook) {
                let follower = Follower::new(Arc::clone(means), tenant, webhook);
                let task = self.tasks.spawn(follower.follow(stop.clone()));
                self.of.insert(webhook, task);
            }
        }
        metrics::WEBHOOKS_HELD.set(self.of.len() as f64);
    }
}
