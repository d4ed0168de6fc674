//! Carries out what the plan says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::testing::Line;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, ready};
use crate::journal::What;
use crate::part::Part;
use crate::plan::{Far, Fault, Harm, Step, Whim, Who};

/// Carries the steps out, each at its time and beside the others; returns when all of them are over.
pub(crate) async fn carry_out(cluster: &Arc<Cluster>, steps: Vec<Step>) {
    let start = tokio::time::Instant::now();
    let mut under_way = JoinSet::new();
    for step in steps {
        tokio::time::sleep_until(start + step.at).await;
        cluster.journal.say(step.fault);
        let cluster = Arc::clone(cluster);
        under_way.spawn(async move {
            if let Err(error) = one(&cluster, step.fault).await {
                cluster.journal.say(format_args!("that did not work: {} ({error:#})", step.fault));
            }
        });
    }
    under_way.join_all().await;
}

async fn one(cluster: &Arc<Cluster>, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::Kill { who, back_after } => {
            let part = cluster.part(who)?;
            let mut running = part.take().await;
            if let Some(running) = running.take() {
                running.kill(&cluster.journal).await;
            }
            tokio::time::sleep(back_after).await;
            *running = Some(part.boot()?);
        }
        Fault::Restart(who) => {
            let part = cluster.part(who)?;
            let mut running = part.take().await;
            if let Some(running) = running.take() {
                running.stop(&cluster.journal).await;
            }
            *running = Some(part.boot()?);
        }
        Fault::Freeze { who, lasts } => freeze(cluster, cluster.part(who)?, lasts).await,
        Fault::Roll => roll(cluster).await?,
        Fault::RedisLost { back_after } => {
            let mut redis = cluster.redis.lock().await;
            redis.kill();
            tokio::time::sleep(back_after).await;
            tokio::task::block_in_place(|| redis.restart());
        }
        Fault::RedisEmptied => to_redis(cluster, redis::cmd("FLUSHALL")).await?,
        Fault::RedisPaused(lasts) => {
            let ms = u64::try_from(lasts.as_millis())?;
            to_redis(cluster, redis::cmd("CLIENT").arg("PAUSE").arg(ms).arg("ALL").clone()).await?;
        }
        Fault::PostgresRestart => cluster.postgres.restart().await?,
        Fault::Line { who, far, harm, lasts } => line(cluster, cluster.part(who)?, far, harm, lasts).await,
        Fault::WhatsApp(whim) => whatsapp(cluster, whim).await?,
    }
    Ok(())
}

async fn freeze(cluster: &Cluster, part: &Part, lasts: Duration) {
    let running = part.take().await;
    if let Some(running) = running.as_ref() {
        let entry = cluster.journal.begin(What::Frozen(running.boot.clone()));
        running.signal(Signal::STOP);
        tokio::time::sleep(lasts).await;
        running.signal(Signal::CONT);
        cluster.journal.end(entry);
        cluster.journal.say(format_args!("SIGCONT {}", running.boot));
    }
}

/// As an orchestrator rolls: the new one is ready before the old one is asked to stop.
async fn roll(cluster: &Cluster) -> anyhow::Result<()> {
    let release = cluster.releases.fetch_add(1, Ordering::Relaxed) + 1;
    for part in cluster.workers() {
        part.set_release(release);
        let mut running = part.take().await;
        let next = part.boot()?;
        let is_ready = ready(part).await;
        if let Some(old) = running.replace(next) {
            let took = old.stop(&cluster.journal).await;
            cluster.journal.say(format_args!(
                "{} rolled to release {release}; the old one stopped in {:.1} s",
                part.who,
                took.as_secs_f64()
            ));
        }
        is_ready?;
    }
    Ok(())
}

async fn line(cluster: &Cluster, part: &Part, far: Far, harm: Harm, lasts: Duration) {
    let silent = far == Far::WhatsApp && harm == Harm::Silent;
    let silent = silent.then(|| cluster.journal.begin(What::Silent(part.who.to_string())));
    let proxy = part.line(far);
    proxy.set(match harm {
        Harm::Cut => Line::Cut,
        Harm::Silent => Line::Silent,
        Harm::Slow(by) => Line::Slow(by),
    });
    tokio::time::sleep(lasts).await;
    proxy.set(Line::Through);
    if let Some(entry) = silent {
        cluster.journal.end(entry);
    }
}

async fn to_redis(cluster: &Cluster, command: redis::Cmd) -> anyhow::Result<()> {
    let url = cluster.redis.lock().await.url();
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    command.exec_async(&mut connection).await?;
    Ok(())
}

async fn whatsapp(cluster: &Cluster, whim: Whim) -> anyhow::Result<()> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let order: Value = match whim {
        Whim::Drop(count) => json!({"kind": "drop", "count": count}),
        Whim::StreamError { code, count } => json!({"kind": "stream_error", "code": code, "count": count}),
        Whim::Replace(count) => json!({"kind": "replace", "count": count}),
        Whim::Silence { count, lasts } => json!({"kind": "silence", "count": count, "duration_ms": ms(lasts)}),
        Whim::SwallowAcks(count) => json!({"kind": "swallow_acks", "count": count}),
        Whim::DelayAcks { by, lasts } => json!({"kind": "delay", "ms": ms(by), "until_ms": ms(lasts)}),
        Whim::AckError { code, count } => json!({"kind": "ack_error", "code": code, "count": count}),
        Whim::RefuseLogins { code, count } => json!({"kind": "refuse_logins", "code": code, "count": count}),
        Whim::DoubleReceipts(count) => json!({"kind": "double_receipts", "count": count}),
    };
    let silent = matches!(whim, Whim::Silence { .. }).then(|| cluster.journal.begin(What::Silenced));
    cluster.phones.fault(order).await?;
    if let (Some(entry), Whim::Silence { lasts, .. }) = (silent, whim) {
        tokio::time::sleep(lasts).await;
        cluster.journal.end(entry);
    }
    Ok(())
}

/// Puts right what may still be wrong.
pub(crate) async fn mend(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.phones.call(reqwest::Method::DELETE, "/faults", None).await?;
    for part in &cluster.parts {
        for far in [Far::Redis, Far::Postgres, Far::WhatsApp] {
            part.line(far).set(Line::Through);
        }
        let mut running = part.take().await;
        if running.is_none() {
            *running = Some(part.boot()?);
        }
        if let Some(running) = running.as_ref() {
            running.signal(Signal::CONT);
        }
    }
    for who in cluster.parts.iter().map(|part| part.who).filter(|who| matches!(who, Who::Api(_))) {
        ready(cluster.part(who)?).await?;
    }
    Ok(())
}
