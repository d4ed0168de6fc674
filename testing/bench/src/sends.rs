//! How fast messages leave, and what one costs. Each shape of load runs with the binaries of every folder in
//! `BINARIES` (`switchboard-api`, and `switchboard-worker` built with the feature `simulator`), which take turns within
//! a run, so that two releases can be compared. `ROUNDS` and `MESSAGES` set the amount, and `SHAPES` picks some by a part
//! of their name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::stack::{Stack, busy, busy_postgres, id, transactions};
use crate::{median, number, variable};

/// One shape of load.
struct Shape {
    name: &'static str,
    accounts: usize,
    chats: usize,
    /// Whether the messages wait in the outbox before the session looks. Otherwise they are posted by 16 clients.
    queued: bool,
    /// Whether the chats have had a message before, so that no keys must be fetched.
    warm: bool,
    /// The share of `MESSAGES` that is sent.
    share: usize,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "50 accounts, 40 chats each, queued", accounts: 50, chats: 40, queued: true, warm: true, share: 1 },
    Shape {
        name: "50 accounts, one chat each, posted by 16 clients",
        accounts: 50,
        chats: 1,
        queued: false,
        warm: true,
        share: 1,
    },
    Shape { name: "one account, 50 chats, queued", accounts: 1, chats: 50, queued: true, warm: true, share: 1 },
    Shape { name: "one account, one chat, queued", accounts: 1, chats: 1, queued: true, warm: true, share: 4 },
    Shape {
        name: "50 accounts, 40 first contacts each, queued",
        accounts: 50,
        chats: 40,
        queued: true,
        warm: false,
        share: 2,
    },
];

/// The figures of one round.
struct Figures {
    per_s: f64,
    api: f64,
    worker: f64,
    postgres: f64,
    transactions: f64,
}

/// Measures all shapes.
pub(crate) async fn measure() {
    let (rounds, messages) = (number("ROUNDS", 3), number("MESSAGES", 4_000));
    let folders: Vec<PathBuf> = variable("BINARIES").split(',').map(PathBuf::from).collect();
    let wanted = std::env::var("SHAPES").unwrap_or_default();
    let simulator = simulator::start(simulator::Config::default()).await.unwrap();
    let phones = (simulator.ws_url(), simulator.admin_url());
    println!(
        "| load | binaries | messages/s | ratio | processor time per message: api | worker | Postgres | transactions per message |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&wanted)) {
        let mut figures: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
        for round in 0..rounds {
            for place in 0..folders.len() {
                let of = (place + round) % folders.len();
                let name = format!("switchboard_bench_sends_{}_{round}_{of}", std::process::id());
                let binaries = (folders[of].join("switchboard-api"), folders[of].join("switchboard-worker"));
                let stack = Stack::start(&name, &phones, &[], (&binaries.0, &binaries.1)).await;
                let found = one_round(&stack, shape, messages / shape.share).await;
                stack.end().await;
                eprintln!("{} {}: {:.0}/s", shape.name, folders[of].display(), found.per_s);
                figures.entry(of).or_default().push(found);
            }
        }
        let of = |place: usize, figure: fn(&Figures) -> f64| median(figures[&place].iter().map(figure));
        for (place, folder) in folders.iter().enumerate() {
            let ratio = median(figures[&place].iter().zip(&figures[&0]).map(|(own, first)| own.per_s / first.per_s));
            println!(
                "| {} | {} | {:.0} | {ratio:.2} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} |",
                shape.name,
                folder.file_name().unwrap_or_default().display(),
                of(place, |figures| figures.per_s),
                of(place, |figures| figures.api),
                of(place, |figures| figures.worker),
                of(place, |figures| figures.postgres),
                of(place, |figures| figures.transactions),
            );
        }
    }
}

async fn one_round(stack: &Stack, shape: &Shape, messages: usize) -> Figures {
    let (mut accounts, mut chats) = (Vec::new(), Vec::new());
    for n in 0..shape.accounts {
        accounts.push(stack.scene.connected(&format!("Bench {n}")).await.0);
    }
    for n in 0..shape.chats {
        chats.push(stack.scene.phone(&format!("Chat {n}")).await);
    }
    if shape.warm {
        // the first message to a number fetches keys, and the answer of a phone changes the ratchet
        stack.post(&accounts, &chats, 2 * shape.accounts * shape.chats, 16).await;
        stack.all_acknowledged().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await; // for receipts that are on their way
    let processes = [stack.api.pid().unwrap(), stack.worker.pid().unwrap()];
    let before = (processes.map(busy), busy_postgres(), transactions(&stack.db).await);
    let begun = Instant::now();
    if shape.queued {
        // all but the last message of each account stand in the outbox before the bell rings
        queue(stack, &accounts, &chats, messages - accounts.len()).await;
        let begun = Instant::now();
        stack.post(&accounts, &chats, accounts.len(), 16).await;
        stack.all_acknowledged().await;
        return figures(stack, processes, before, messages, begun.elapsed()).await;
    }
    stack.post(&accounts, &chats, messages, 16).await;
    stack.all_acknowledged().await;
    figures(stack, processes, before, messages, begun.elapsed()).await
}

async fn figures(
    stack: &Stack,
    processes: [u32; 2],
    before: ([Duration; 2], Duration, i64),
    messages: usize,
    wall: Duration,
) -> Figures {
    tokio::time::sleep(Duration::from_millis(1_500)).await; // for receipts, and for Postgres's counters
    let per_message = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e3 / messages as f64;
    let now = (processes.map(busy), busy_postgres(), transactions(&stack.db).await);
    Figures {
        per_s: messages as f64 / wall.as_secs_f64(),
        api: per_message(now.0[0], before.0[0]),
        worker: per_message(now.0[1], before.0[1]),
        postgres: per_message(now.1, before.1),
        transactions: (now.2 - before.2) as f64 / messages as f64,
    }
}

/// Writes messages into the outboxes without ringing: in turn for each account, and within it for each chat.
async fn queue(stack: &Stack, accounts: &[String], chats: &[String], messages: usize) {
    let accounts: Vec<_> = accounts.iter().map(|account| id(account).0).collect();
    let chats: Vec<String> = chats.iter().map(|number| format!("{number}@s.whatsapp.net")).collect();
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, sender)
         SELECT m.id, a.tenant_id, a.id, m.chat, 'message ' || m.n, '3EB0' || upper(replace(m.id::text, '-', '')), a.phone_number
         FROM (SELECT gen_random_uuid() AS id, n, $1[1 + n % cardinality($1)] AS account_id,
                      $2[1 + n / cardinality($1) % cardinality($2)] AS chat
               FROM generate_series(0, $3 - 1) AS n) m JOIN accounts a ON a.id = m.account_id
         ORDER BY m.n",
    )
    .bind(accounts)
    .bind(chats)
    .bind(i32::try_from(messages).unwrap())
    .execute(&stack.db)
    .await
    .unwrap();
}
