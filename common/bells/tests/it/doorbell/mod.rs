//! Doorbells on a real Redis: every hazard of the library that was measured has its test here.
//!
//! Each test uses a prefix of its own on `REDIS_URL`; those that restart or empty Redis (`outages`) start a server of their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bells::doorbell::{Doorbell, Handler, Noted, Path, Timing};
use domain::id::{AccountId, RunId, WorkerId};
use domain::job::{Answer, Bell, Job, QUEUE_LIMIT, Queue, Rung};
use kit::{redis_prefix, redis_url, until_within};
use tokio_util::sync::CancellationToken;

mod costs;
mod outages;

/// For tests that count outcomes on a machine that may be busy.
const UNHURRIED: Timing = Timing {
    ring: Duration::from_secs(5),
    poll: Duration::from_millis(250),
    handling: Duration::from_secs(30),
    coalesce: Duration::from_secs(30),
    tidy: Duration::from_secs(5),
};

fn send(account: AccountId) -> Bell {
    Bell::Send { account }
}

fn accounts(count: usize) -> Vec<AccountId> {
    (0..count).map(|_| AccountId::new()).collect()
}

/// A worker that counts: rows are numbers, and a bell makes it look at its account's.
#[derive(Default)]
struct Counting {
    answered: Mutex<HashMap<Bell, u64>>,
    looked: AtomicU64,
    noted: Mutex<Vec<Noted>>,
    heard: Mutex<Vec<(Path, Instant)>>,
    panics: AtomicBool,
    slow: Option<Duration>,
    word: Option<fn(&Job) -> Answer>,
}

#[async_trait]
impl Handler for Counting {
    async fn answer(&self, job: Job) -> Answer {
        *self.answered.lock().unwrap().entry(job.bell).or_default() += 1;
        if let Some(slow) = self.slow {
            tokio::time::sleep(slow).await;
        }
        assert!(!self.panics.load(Ordering::Relaxed), "as the test asked");
        self.word.map_or(Answer::Done, |word| word(&job))
    }

    async fn look_at_everything(&self) {
        self.looked.fetch_add(1, Ordering::Relaxed);
    }

    fn noted(&self, what: &Noted) {
        if let Noted::Answered { path, .. } = what {
            self.heard.lock().unwrap().push((*path, Instant::now()));
        } else {
            self.noted.lock().unwrap().push(what.clone());
        }
    }
}

impl Counting {
    fn bells(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    fn times(&self, bell: &Bell) -> u64 {
        self.answered.lock().unwrap().get(bell).copied().unwrap_or(0)
    }

    fn by(&self, wanted: Path) -> usize {
        self.heard.lock().unwrap().iter().filter(|(path, _)| *path == wanted).count()
    }

    fn ended(&self) -> usize {
        self.noted.lock().unwrap().iter().filter(|noted| matches!(noted, Noted::ConsumerEnded { .. })).count()
    }
}

struct Listening {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    worker: WorkerId,
}

impl Listening {
    async fn start(bell: &Doorbell, handler: &Arc<Counting>) -> Self {
        let (stop, worker) = (CancellationToken::new(), WorkerId::new());
        let (bell, answers, until) = (bell.clone(), Arc::clone(handler), stop.clone());
        let looked = handler.looked.load(Ordering::Relaxed);
        let task = tokio::spawn(async move { bell.listen(worker, answers, until.clone(), until).await });
        eventually(Duration::from_secs(10), || handler.looked.load(Ordering::Relaxed) > looked).await;
        Self { stop, task, worker }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) {
    until_within(limit, "what is to hold", async || holds().then_some(())).await;
}

async fn own(url: &str, prefix: &str, account: AccountId, worker: WorkerId) {
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let set: redis::RedisResult<()> = redis::cmd("SET")
        .arg(format!("{prefix}lease:{account}"))
        .arg(format!("{worker}:1"))
        .query_async(&mut redis)
        .await;
    set.unwrap();
}

/// R01: a ring reaches the owner's session at once by its channel, and by its queue as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_reaches_the_owner_at_once_and_through_the_queue() {
    let (url, prefix) = (redis_url(), redis_prefix());
    let bell = Doorbell::with_timing(&url, &prefix, UNHURRIED).unwrap();
    let (owner, other) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
    let (owning, idle) = (Listening::start(&bell, &owner).await, Listening::start(&bell, &other).await);
    let account = AccountId::new();
    own(&url, &prefix, account, owning.worker).await;
    assert_eq!(bell.ring(&send(account)).await.unwrap(), Rung::Rung);
    eventually(Duration::from_secs(3), || owner.by(Path::Channel) == 1 && owner.by(Path::Queue) == 1).await;
    assert_eq!(other.bells(), 0);
    owning.stop().await;
    idle.stop().await;
}

/// A ring without an owner is claimed by one worker, not by all who hear it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unowned_ring_is_taken_by_one() {
    let bell = Doorbell::connect(&redis_url(), &redis_prefix()).unwrap();
    let handlers: Vec<_> = (0..3).map(|_| Arc::new(Counting::default())).collect();
    let mut listening = Vec::new();
    for handler in &handlers {
        listening.push(Listening::start(&bell, handler).await);
    }
    let runs: Vec<_> = (0..50).map(|_| Bell::FireReminder { run: RunId::new() }).collect();
    patient(&bell, &runs).await;
    let by = |path| handlers.iter().map(|handler| handler.by(path)).sum::<usize>();
    eventually(Duration::from_secs(5), || by(Path::Channel) == 50 && by(Path::Queue) == 50).await;
    for listening in listening {
        listening.stop().await;
    }
    assert_eq!((by(Path::Channel), by(Path::Queue)), (50, 50));
}

/// Latency from ring to handler; printed, and bounded loosely.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_heard_within_milliseconds() {
    let (url, prefix) = (redis_url(), redis_prefix());
    let bell = Doorbell::connect(&url, &prefix).unwrap();
    let handler = Arc::new(Counting::default());
    let listening = Listening::start(&bell, &handler).await;
    let (mut heard, mut rung, mut queued) = (Vec::new(), Vec::new(), Vec::new());
    for account in accounts(200) {
        own(&url, &prefix, account, listening.worker).await;
        let began = Instant::now();
        let before = handler.heard.lock().unwrap().len();
        patient(&bell, &[send(account)]).await;
        rung.push(began.elapsed());
        let first = |wanted: Path| {
            let heard = handler.heard.lock().unwrap();
            heard.iter().skip(before).find(|(path, _)| *path == wanted).map(|(_, at)| *at - began)
        };
        eventually(Duration::from_secs(3), || first(Path::Channel).is_some() && first(Path::Queue).is_some()).await;
        heard.push(first(Path::Channel).unwrap());
        queued.push(first(Path::Queue).unwrap());
    }
    listening.stop().await;
    let mut figures = Vec::new();
    for (name, mut times) in [("ring", rung), ("heard by channel", heard), ("answered from queue", queued)] {
        times.sort();
        println!("{name}: p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
        figures.push(times[times.len() / 2]);
    }
    assert!(figures[1] < Duration::from_millis(50), "{figures:?}");
    assert!(figures[2] < Duration::from_millis(1_000), "{figures:?}");
}

/// R05: equal bells lie in a queue once; a bell that is being answered may ring again, so that nothing committed during
/// the handling is overlooked.
#[tokio::test(flavor = "multi_thread")]
async fn equal_bells_coalesce_until_they_are_answered() {
    let bell = Doorbell::with_timing(&redis_url(), &redis_prefix(), UNHURRIED).unwrap();
    let account = AccountId::new();
    assert_eq!(bell.ring(&send(account)).await.unwrap(), Rung::Rung);
    assert_eq!(bell.ring(&send(account)).await.unwrap(), Rung::Coalesced);
    assert_eq!(bell.ring(&Bell::Pair { account }).await.unwrap(), Rung::Rung);
    let twice = bell.ring_many(&[send(AccountId::new()), send(account)]).await.unwrap();
    assert_eq!(twice, [Rung::Rung, Rung::Coalesced]);
    assert_eq!(bell.due(Queue::Claim).await.unwrap(), 3);

    let slow = Arc::new(Counting { slow: Some(Duration::from_millis(1_500)), ..Counting::default() });
    let listening = Listening::start(&bell, &slow).await;
    eventually(Duration::from_secs(5), || slow.times(&send(account)) == 1).await;
    assert_eq!(bell.ring(&send(account)).await.unwrap(), Rung::Rung, "rung during the handling");
    eventually(Duration::from_secs(10), || slow.by(Path::Queue) == 4).await;
    assert!(slow.times(&send(account)) >= 2);
    listening.stop().await;
}

/// R05: 20,000 waiting rows never wedge a queue: at most a thousand bells lie in it, the rest wait for the duty.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_rows_never_wedge_a_queue() {
    let bell = Doorbell::with_timing(&redis_url(), &redis_prefix(), UNHURRIED).unwrap();
    let rows: Vec<_> = accounts(20_000).into_iter().map(send).collect();
    let began = Instant::now();
    let outcomes = patient(&bell, &rows).await;
    println!("20,000 rings: {:?}", began.elapsed());
    assert_eq!(outcomes.iter().filter(|rung| **rung == Rung::Rung).count(), QUEUE_LIMIT);
    assert_eq!(outcomes.iter().filter(|rung| **rung == Rung::Full).count(), 20_000 - QUEUE_LIMIT);
    assert_eq!(bell.due(Queue::Claim).await.unwrap(), QUEUE_LIMIT);

    let handler = Arc::new(Counting::default());
    let listening = Listening::start(&bell, &handler).await;
    let began = Instant::now();
    while handler.bells() < rows.len() {
        assert!(began.elapsed() < Duration::from_secs(120), "{} of {}", handler.bells(), rows.len());
        let waiting: Vec<_> = rows.iter().filter(|row| handler.times(row) == 0).copied().collect();
        patient(&bell, &waiting[..waiting.len().min(2_000)]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("20,000 rows answered in {:?}", began.elapsed());
    assert_eq!(handler.ended(), 0, "no consumer ended");
    listening.stop().await;
}

/// As the duty rings: what times out is rung again.
async fn patient(bell: &Doorbell, bells: &[Bell]) -> Vec<Rung> {
    let mut outcomes = Vec::new();
    for batch in bells.chunks(200) {
        loop {
            if let Ok(rung) = bell.ring_many(batch).await {
                outcomes.extend(rung);
                break;
            }
        }
    }
    outcomes
}

/// R05: a bell that rings twice is answered twice, and what it does it does once, as the handler reads rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_bell_does_nothing_twice() {
    #[derive(Default)]
    struct Outbox {
        queued: AtomicU64,
        sent: AtomicU64,
        answers: AtomicU64,
    }
    #[async_trait]
    impl Handler for Outbox {
        async fn answer(&self, _: Job) -> Answer {
            self.sent.fetch_add(self.queued.swap(0, Ordering::SeqCst), Ordering::SeqCst);
            self.answers.fetch_add(1, Ordering::SeqCst);
            Answer::Done
        }

        async fn look_at_everything(&self) {}
    }
    let bell = Doorbell::connect(&redis_url(), &redis_prefix()).unwrap();
    let outbox = Arc::new(Outbox { queued: AtomicU64::new(7), ..Outbox::default() });
    let (stop, answers) = (CancellationToken::new(), Arc::clone(&outbox));
    let listening = {
        let (bell, stop) = (bell.clone(), stop.clone());
        tokio::spawn(async move { bell.listen(WorkerId::new(), answers, stop.clone(), stop).await })
    };
    let account = AccountId::new();
    for _ in 0..5 {
        patient(&bell, &[send(account)]).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    eventually(Duration::from_secs(5), || outbox.answers.load(Ordering::SeqCst) >= 5).await;
    assert_eq!(outbox.sent.load(Ordering::SeqCst), 7);
    stop.cancel();
    listening.await.unwrap();
}

/// A panic in a handler ends neither the consumer nor the subscription.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_answer_only() {
    let bell = Doorbell::connect(&redis_url(), &redis_prefix()).unwrap();
    let handler = Arc::new(Counting { panics: AtomicBool::new(true), ..Counting::default() });
    let listening = Listening::start(&bell, &handler).await;
    let bells: Vec<_> = accounts(20).into_iter().map(send).collect();
    patient(&bell, &bells).await;
    eventually(Duration::from_secs(20), || handler.bells() == 20 && handler.by(Path::Queue) >= 20).await;
    handler.panics.store(false, Ordering::Relaxed);
    let after = send(AccountId::new());
    let queued = handler.by(Path::Queue);
    patient(&bell, &[after]).await;
    eventually(Duration::from_secs(20), || handler.times(&after) >= 2 && handler.by(Path::Queue) > queued).await;
    assert_eq!(handler.ended(), 0);
    listening.stop().await;
}

/// The five words: what is passed on rings again, a bounded number of times.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_on_rings_again_a_few_times() {
    type Word = fn(&Job) -> Answer;
    let words: [(Word, bool); 5] = [
        (|_| Answer::Done, false),
        (|_| Answer::GiveUp("it will never work".to_owned()), false),
        (|job| if job.hops < 2 { Answer::NotMine } else { Answer::Done }, true),
        (|job| if job.hops < 1 { Answer::Snooze(Duration::from_millis(100)) } else { Answer::Done }, true),
        (|job| if job.hops < 1 { Answer::Retry("not yet".to_owned()) } else { Answer::Done }, true),
    ];
    for (word, again) in words {
        let bell = Doorbell::connect(&redis_url(), &redis_prefix()).unwrap();
        let handler = Arc::new(Counting { word: Some(word), ..Counting::default() });
        let listening = Listening::start(&bell, &handler).await;
        patient(&bell, &[send(AccountId::new())]).await;
        if again {
            eventually(Duration::from_secs(5), || handler.by(Path::Queue) >= 2).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(handler.by(Path::Queue) > 1, again);
        assert!(handler.by(Path::Queue) <= 3);
        listening.stop().await;
    }
}

/// Finished jobs are cleared away: memory stays bounded however many bells have rung.
#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_are_cleared_away() {
    let (url, prefix) = (redis_url(), redis_prefix());
    let timing = Timing { tidy: Duration::from_millis(300), ..Timing::default() };
    let bell = Doorbell::with_timing(&url, &prefix, timing).unwrap();
    let handler = Arc::new(Counting::default());
    let listening = Listening::start(&bell, &handler).await;
    for round in 1..=5 {
        let bells: Vec<_> = accounts(600).into_iter().map(send).collect();
        patient(&bell, &bells).await;
        eventually(Duration::from_secs(90), || {
            handler.bells() >= round * 600 && handler.by(Path::Queue) >= round * 600
        })
        .await;
    }
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let keys = keys(&url, &prefix).await;
    let jobs: Vec<_> =
        keys.iter().filter(|key| key.contains(":meta:") || key.contains(":done") || key.contains(":data")).collect();
    assert!(jobs.is_empty(), "{} keys of finished jobs, such as {:?}", jobs.len(), jobs.first());
    let worker = listening.worker.to_string();
    listening.stop().await;
    let left: Vec<_> =
        self::keys(&url, &prefix).await.into_iter().filter(|key| key.contains(&format!("inbox-{worker}"))).collect();
    assert!(left.is_empty(), "the inbox is dropped on a graceful stop: {left:?}");
}

async fn keys(url: &str, prefix: &str) -> Vec<String> {
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut redis).await.unwrap()
}
