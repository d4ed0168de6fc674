//! Injects the faults of the plan.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use kit::{Line, Signal};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::journal::{What, now_us};
use crate::part::Part;
use crate::people::Person;
use crate::plan::{Blow, Far, Fault, Harm, Step, Whim, Who, targets};

/// How long a fault is tried while another fault has taken its target away.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a strike waits for a pairing. Accounts pair all the time.
const PAIRINGS: Duration = Duration::from_secs(4);

/// Injects the faults, each at its time and beside the others. Returns when all of them are over. Strikes hit the
/// sockets of these people.
pub(crate) async fn carry_out(cluster: &Arc<Cluster>, people: &[&Person], steps: Vec<Step>) {
    let numbers: Arc<[String]> = people.iter().map(|person| person.number.clone()).collect();
    let start = tokio::time::Instant::now();
    let mut under_way = JoinSet::new();
    for step in steps {
        tokio::time::sleep_until(start + step.at).await;
        cluster.journal.say(step.fault);
        let (cluster, numbers) = (Arc::clone(cluster), Arc::clone(&numbers));
        under_way.spawn(async move {
            if let Err(error) = one(&cluster, &numbers, step.fault).await {
                let words = format!("{} ({error:#})", step.fault);
                cluster.journal.say(format_args!("that did not work: {words}"));
                cluster.journal.note(What::NotInjected(words));
            }
        });
    }
    under_way.join_all().await;
}

async fn one(cluster: &Arc<Cluster>, numbers: &[String], fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::Kill { who, back_after } => {
            let part = cluster.part(who)?;
            let mut running = part.take().await;
            running.take().context("it does not run")?.kill(&cluster.journal).await;
            tokio::time::sleep(back_after).await;
            *running = Some(part.boot()?);
        }
        Fault::Restart(who) => {
            let part = cluster.part(who)?;
            let mut running = part.take().await;
            running.take().context("it does not run")?.stop(&cluster.journal).await;
            *running = Some(part.boot()?);
        }
        Fault::Freeze { who, lasts } => freeze(cluster, cluster.part(who)?, lasts).await?,
        Fault::Roll => roll(cluster).await?,
        Fault::RedisLost { back_after } => {
            let mut redis = cluster.redis.lock().await;
            redis.kill();
            tokio::time::sleep(back_after).await;
            tokio::task::block_in_place(|| redis.restart());
        }
        Fault::RedisEmptied => to_redis(cluster, &redis::cmd("FLUSHALL")).await?,
        Fault::RedisPaused(lasts) => {
            let ms = u64::try_from(lasts.as_millis())?;
            to_redis(cluster, redis::cmd("CLIENT").arg("PAUSE").arg(ms).arg("ALL")).await?;
        }
        Fault::PostgresRestart => cluster.postgres.restart().await?,
        Fault::Line { who, far, harm, lasts } => line(cluster, cluster.part(who)?, far, harm, lasts).await,
        Fault::WhatsApp(whim) => whatsapp(cluster, numbers, whim).await?,
    }
    Ok(())
}

async fn freeze(cluster: &Cluster, part: &Part, lasts: Duration) -> anyhow::Result<()> {
    let running = part.take().await;
    let running = running.as_ref().context("it does not run")?;
    let entry = cluster.journal.begin(What::Frozen(running.boot.clone()));
    running.signal(Signal::STOP);
    tokio::time::sleep(lasts).await;
    running.signal(Signal::CONT);
    cluster.journal.end(entry);
    cluster.journal.say(format_args!("SIGCONT {}", running.boot));
    Ok(())
}

/// Rolls as an orchestrator does: the new process is ready before the old one is asked to stop.
async fn roll(cluster: &Cluster) -> anyhow::Result<()> {
    let release = cluster.releases.fetch_add(1, Ordering::Relaxed) + 1;
    for part in cluster.workers() {
        part.set_release(release);
        let mut running = part.take().await;
        let next = part.boot()?;
        let is_ready = part.ready().await; // waits longer if its connection is cut at the moment
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
    let wire = part.line(far);
    let _hand = wire.hand.lock().await;
    let who = part.who.to_string();
    let what = match (far, harm) {
        (Far::WhatsApp, Harm::Silent) => Some(What::Silent(who)),
        _ => None,
    };
    let entry = what.map(|what| cluster.journal.begin(what));
    let proxy = &wire.proxy;
    proxy.set(match harm {
        Harm::Cut => Line::Cut,
        Harm::Silent => Line::Silent,
        Harm::Slow(by) => Line::Slow(by),
    });
    tokio::time::sleep(lasts).await;
    proxy.set(Line::Through);
    if let Some(entry) = entry {
        cluster.journal.end(entry);
    }
}

/// Sends a command to Redis. If another fault has killed or paused Redis, tries until it is back.
async fn to_redis(cluster: &Cluster, command: &redis::Cmd) -> anyhow::Result<()> {
    let start = tokio::time::Instant::now();
    loop {
        let url = cluster.redis.lock().await.url();
        let told = async {
            let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            command.exec_async(&mut connection).await
        };
        match told.await {
            Err(_) if start.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            told => return Ok(told?),
        }
    }
}

async fn whatsapp(cluster: &Cluster, numbers: &[String], whim: Whim) -> anyhow::Result<()> {
    let order = match whim {
        Whim::Strike { blow, count, pairing, pick } => {
            return strike(cluster, numbers, blow, count, pairing, pick).await;
        }
        Whim::SwallowAcks(count) => json!({"kind": "swallow_acks", "count": count}),
        Whim::DelayAcks { by, lasts } => json!({"kind": "delay", "ms": ms(by), "until_ms": ms(lasts)}),
        Whim::AckError { code, count } => json!({"kind": "ack_error", "code": code, "count": count}),
        Whim::RefuseLogins { code, count } => json!({"kind": "refuse_logins", "code": code, "count": count}),
        Whim::DoubleReceipts(count) => json!({"kind": "double_receipts", "count": count}),
    };
    cluster.phones.fault(order).await.map(drop)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Hits this many sockets. If no socket is open, for example because every worker restarts, tries again until one is.
async fn strike(
    cluster: &Cluster,
    numbers: &[String],
    blow: Blow,
    count: u64,
    pairing: bool,
    pick: u64,
) -> anyhow::Result<()> {
    let order = match blow {
        Blow::Drop => json!({"kind": "drop"}),
        Blow::StreamError(code) => json!({"kind": "stream_error", "code": code}),
        Blow::Replace => json!({"kind": "replace"}),
        Blow::Silence(lasts) => json!({"kind": "silence", "duration_ms": ms(lasts)}),
    };
    let mut left = count;
    if pairing {
        left = left.saturating_sub(at_pairing(cluster, &order).await?);
    }
    let start = tokio::time::Instant::now();
    let mut silenced = Vec::new();
    loop {
        for place in targets(pick, numbers.len()) {
            let Some(number) = numbers.get(place).filter(|_| left > 0) else { break };
            let from_us = now_us();
            let hit = cluster.phones.fault(at(&order, json!({"number": number}))).await? > 0;
            left -= u64::from(hit);
            if hit && matches!(blow, Blow::Silence(_)) {
                silenced.push(cluster.journal.begun(from_us, What::Silenced(number.clone())));
            }
        }
        if left < count {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("nobody is logged in");
        }
        tokio::time::sleep(PAUSE).await;
    }
    if let Blow::Silence(lasts) = blow {
        tokio::time::sleep(lasts).await;
    }
    for entry in silenced {
        cluster.journal.end(entry);
    }
    Ok(())
}

/// Waits for a socket that is pairing, and hits it. Returns how many were hit: 0 if there was none in time.
async fn at_pairing(cluster: &Cluster, order: &Value) -> anyhow::Result<u64> {
    let start = tokio::time::Instant::now();
    let order = at(order, json!({"pairing": true}));
    loop {
        let hit = cluster.phones.fault(order.clone()).await?;
        if hit > 0 {
            cluster.journal.say("that met a pairing");
            return Ok(hit);
        }
        if start.elapsed() > PAIRINGS {
            return Ok(0);
        }
        tokio::time::sleep(PAUSE / 5).await;
    }
}

/// The order for one socket of this target.
fn at(order: &Value, target: Value) -> Value {
    let mut order = order.clone();
    order["count"] = 1.into();
    order["target"] = target;
    order
}

/// Repairs everything that may still be broken.
pub(crate) async fn mend(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.phones.call(reqwest::Method::DELETE, "/faults", None).await?;
    for part in &cluster.parts {
        for far in [Far::Redis, Far::Postgres, Far::WhatsApp] {
            part.line(far).proxy.set(Line::Through);
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
        cluster.part(who)?.ready().await?;
    }
    Ok(())
}
