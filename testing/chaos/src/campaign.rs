//! One campaign: starts a cluster, injects faults under load, repairs them, waits until everything is done, and checks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::check::check;
use crate::claims;
use crate::cluster::{Cluster, Setup};
use crate::evidence::{Device, Evidence, Fired, Verdict};
use crate::ledger::{Book, Ledger};
use crate::load::{Pace, go_on};
use crate::people::People;
use crate::takeover::{Takeover, quantile, takeovers};
use crate::{faults, plan};

/// How long it may take after the last fault until everything that was accepted is delivered.
const CALM: Duration = Duration::from_secs(150);

/// The size of a campaign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
    pub(crate) steady: usize,
    pub(crate) fickle: usize,
    pub(crate) phones: usize,
    pub(crate) pace: Pace,
}

/// The result of a campaign.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) takeovers: Vec<Takeover>,
    pub(crate) ledger: Ledger,
    pub(crate) calm_after: Option<Duration>,
}

/// Runs a campaign.
pub(crate) async fn run(setup: &Setup, scale: Scale) -> anyhow::Result<Outcome> {
    let cluster = Cluster::start(setup).await?;
    cluster.journal.say(format_args!(
        "the cluster is up; seed {}; the clock of worker-2 is wrong by {} s",
        scale.seed, setup.skew_s
    ));
    let mut dice = StdRng::seed_from_u64(scale.seed);
    let people = Arc::new(People::gather(&cluster, scale.steady, scale.fickle, scale.phones, &mut dice).await?);
    let (steady, fickle) = (people.steady.len(), people.fickle.len());
    cluster.journal.say(format_args!("{steady} accounts write, {fickle} come and go, {} phones", scale.phones));
    let before = cluster.witness.accounts().await?;

    let stop = CancellationToken::new();
    let book = Book::default();
    let lasts = Duration::from_secs_f64(scale.minutes * 60.0);
    let (clustered, known) = (Arc::clone(&cluster), Arc::clone(&people));
    let load = tokio::spawn(go_on(clustered, known, book.clone(), scale.pace, scale.seed, lasts, stop.clone()));
    let minder = tokio::spawn(Arc::clone(&cluster).mind());
    let start = tokio::time::Instant::now();
    let everybody: Vec<_> = people.steady.iter().chain(&people.fickle).collect();
    faults::carry_out(&cluster, &everybody, plan::plan(scale.seed, lasts)).await;
    tokio::time::sleep_until(start + lasts).await;
    cluster.journal.say("nothing goes wrong any more: mending, and waiting until all is calm");
    faults::mend(&cluster).await?;
    stop.cancel();
    load.await?;
    let calm_after = calm(&cluster, &people).await;

    let mut evidence = gather(&cluster, setup, &book).await?;
    evidence.steady = people
        .steady
        .iter()
        .map(|person| (person.account.clone(), before.get(&person.account).and_then(|row| row.jid.clone())))
        .collect();
    minder.abort();
    cluster.stop().await?;
    let takeovers = takeovers(&evidence.devices, &evidence.journal);
    Ok(Outcome { verdict: check(&evidence), takeovers, ledger: evidence.ledger, calm_after })
}

/// Waits until nothing is left to do. Returns how long that took, or `None` if it took too long.
async fn calm(cluster: &Cluster, people: &People) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < CALM {
        let unfinished = cluster.witness.unfinished().await.unwrap_or(i64::MAX);
        let accounts = cluster.witness.accounts().await.unwrap_or_default();
        let all = people.steady.iter().all(|p| accounts.get(&p.account).is_some_and(|row| row.status == "connected"));
        if unfinished == 0 && all {
            let took = start.elapsed();
            // receipts and repeated deliveries may still be on their way
            tokio::time::sleep(Duration::from_secs(2)).await;
            return Some(took);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    None
}

async fn gather(cluster: &Cluster, setup: &Setup, book: &Book) -> anyhow::Result<Evidence> {
    let phones = cluster.phones.call(Method::GET, "/phones", None).await?;
    let mut inboxes = HashMap::new();
    for number in phones.as_array().into_iter().flatten().filter_map(|phone| phone["number"].as_str()) {
        let inbox = cluster.phones.inbox(number).await?;
        inboxes.insert(number.to_owned(), serde_json::from_value(inbox.into())?);
    }
    let audit = cluster.phones.audit().await?;
    let devices: Vec<Device> = serde_json::from_value(audit["devices"].clone())?;
    let ttl_us = i64::try_from(setup.lease_ttl_ms * 1_000)?;
    let ledger = book.read();
    let mut fired = HashMap::new();
    for recurring in &ledger.recurring {
        fired.insert(recurring.id.clone(), runs(cluster, &recurring.id).await?);
    }
    let (changes, beats) = (cluster.witness.lease_changes().await?, cluster.witness.beats().await?);
    Ok(Evidence {
        ledger,
        inboxes,
        devices,
        journal: cluster.journal.entries(),
        messages: cluster.witness.messages().await?,
        runs: cluster.witness.runs().await?,
        fired,
        received: cluster.witness.received().await?,
        accounts: cluster.witness.accounts().await?,
        steady: vec![],
        stolen: claims::stolen(&changes, &beats, ttl_us),
    })
}

/// The runs of a recurring reminder, as its tenant sees them. They fit on one page.
async fn runs(cluster: &Cluster, reminder: &str) -> anyhow::Result<Vec<Fired>> {
    let path = format!("/v1/reminders/{reminder}/runs?limit=200");
    let mut page = cluster.gateway.demand(Method::GET, &path, None, CALM).await?;
    Ok(serde_json::from_value(page["data"].take())?)
}

/// Prints the results. The last line is meant for programs as well.
pub(crate) fn report(outcome: &Outcome, scale: Scale) {
    let (verdict, ledger) = (&outcome.verdict, &outcome.ledger);
    println!();
    for detail in verdict.details.iter().take(60) {
        println!("  {detail}");
    }
    if verdict.details.len() > 60 {
        println!("  and {} more", verdict.details.len() - 60);
    }
    let longest = verdict.excused.iter().max();
    println!(
        "overlaps with an excuse: {}{}",
        verdict.excused.len(),
        longest.map_or_else(String::new, |(_, words)| format!("; the longest: {words}"))
    );
    match outcome.calm_after {
        Some(after) => println!("calm {:.1} s after the last fault was mended", after.as_secs_f64()),
        None => println!("it was never calm again within {} s", CALM.as_secs()),
    }
    for (asked, words) in [(true, "told to stop"), (false, "killed")] {
        let of: Vec<&Takeover> = outcome.takeovers.iter().filter(|takeover| takeover.asked == asked).collect();
        let gaps: Vec<u64> = of.iter().map(|takeover| takeover.gap_us).collect();
        println!(
            "devices whose worker was {words}: {}; without a socket for p50 {:.2} s, p99 {:.2} s",
            gaps.len(),
            quantile(&gaps, 0.5) as f64 / 1e6,
            quantile(&gaps, 0.99) as f64 / 1e6
        );
    }
    println!(
        "also: reminders={} repeating={} received={} churned={} arrived_again={} inbound_lost={} inbound_doubled={} \
         wrong_status={} refused={} broken={} not_injected={} died={} unanswered={}",
        ledger.promised.len(),
        ledger.recurring.len(),
        ledger.written.len(),
        ledger.churned,
        verdict.repeated,
        verdict.inbound_lost,
        verdict.inbound_doubled,
        verdict.wrong_status,
        verdict.refused,
        verdict.broken,
        verdict.not_injected,
        verdict.died,
        ledger.open
    );
    let gaps: Vec<u64> = outcome.takeovers.iter().map(|takeover| takeover.gap_us).collect();
    println!(
        "chaos: seed={} minutes={} sends={} double_owner={} lost={} seen_twice={} disorder={} occurrences_lost={} \
         occurrences_doubled={} credentials_lost={} takeover_p99_s={:.2}",
        scale.seed,
        scale.minutes,
        ledger.sent.len(),
        verdict.double_owner,
        verdict.lost,
        verdict.seen_twice,
        verdict.disorder,
        verdict.occurrences_lost,
        verdict.occurrences_doubled,
        verdict.credentials_lost,
        quantile(&gaps, 0.99) as f64 / 1e6
    );
}
