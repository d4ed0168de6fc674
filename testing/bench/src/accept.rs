//! How fast messages are accepted, and what accepting one costs. Each shape of load runs with the api of every folder in
//! `BINARIES`, which take turns within a run, so that two releases can be compared. No worker runs: only the api and
//! Postgres are measured. The clients are threads with one connection each, which write prepared bytes. `ROUNDS` and
//! `MESSAGES` set the amount, `SHAPES` picks some by a part of their name, and `CONNECTIONS` are those of the api to
//! Postgres.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kit::rows::Account;
use kit::{Process, Settings};
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{PgPool, Postgres};
use store::MIGRATOR;

use crate::stack::{self, busy, busy_postgres, transactions};
use crate::{median, number, variable};

/// One shape of load.
struct Shape {
    name: &'static str,
    clients: usize,
    accounts: usize,
    /// The number of messages in a request.
    batch: usize,
    /// Whether each request has an `Idempotency-Key`.
    keys: bool,
    /// The pause of a client between two requests.
    pause: Duration,
    /// `MESSAGES` is multiplied by the first number and divided by the second one.
    share: (usize, usize),
}

const PLAIN: Shape = Shape {
    name: "one client, one after the other",
    clients: 1,
    accounts: 50,
    batch: 1,
    keys: false,
    pause: Duration::ZERO,
    share: (1, 10),
};

const SHAPES: [Shape; 7] = [
    Shape { name: "one client, one every 10 ms", pause: Duration::from_millis(10), share: (1, 20), ..PLAIN },
    PLAIN,
    Shape { name: "16 clients", clients: 16, share: (1, 1), ..PLAIN },
    Shape { name: "16 clients, with Idempotency-Key", clients: 16, keys: true, share: (1, 1), ..PLAIN },
    Shape { name: "16 clients, one account", clients: 16, accounts: 1, share: (1, 1), ..PLAIN },
    Shape { name: "4 clients, 1,000 a request", clients: 4, batch: 1_000, share: (5, 1), ..PLAIN },
    Shape {
        name: "4 clients, 1,000 a request, with Idempotency-Key",
        clients: 4,
        batch: 1_000,
        keys: true,
        share: (5, 1),
        ..PLAIN
    },
];

/// The figures of one round.
struct Figures {
    per_s: f64,
    /// The time of a request, in milliseconds.
    p50: f64,
    p99: f64,
    /// Processor time per message, in milliseconds.
    api: f64,
    postgres: f64,
    transactions: f64,
}

/// Measures all shapes.
pub(crate) async fn measure() {
    let (rounds, messages) = (number("ROUNDS", 3), number("MESSAGES", 20_000));
    let folders: Vec<PathBuf> = variable("BINARIES").split(',').map(PathBuf::from).collect();
    let wanted = std::env::var("SHAPES").unwrap_or_default();
    println!(
        "| load | binaries | messages/s | a request: p50 | p99 | processor time per message: api | Postgres | transactions per message |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&wanted)) {
        let mut figures: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
        for round in 0..rounds {
            for place in 0..folders.len() {
                let of = (place + round) % folders.len();
                let name = format!("switchboard_bench_accept_{}_{round}_{of}", std::process::id());
                let house = House::start(&name, folders[of].join("switchboard-api"), shape.accounts).await;
                let found = house.round(shape, messages * shape.share.0 / shape.share.1).await;
                house.end().await;
                let Some(found) = found else { continue };
                eprintln!("{} {}: {:.0}/s", shape.name, folders[of].display(), found.per_s);
                figures.entry(of).or_default().push(found);
            }
        }
        for (place, folder) in folders.iter().enumerate() {
            let Some(found) = figures.get(&place) else { continue };
            let of = |figure: fn(&Figures) -> f64| median(found.iter().map(figure));
            println!(
                "| {} | {} | {:.0} | {:.2} ms | {:.2} ms | {:.3} ms | {:.3} ms | {:.3} |",
                shape.name,
                folder.file_name().unwrap_or_default().display(),
                of(|figures| figures.per_s),
                of(|figures| figures.p50),
                of(|figures| figures.p99),
                of(|figures| figures.api),
                of(|figures| figures.postgres),
                of(|figures| figures.transactions),
            );
        }
    }
}

/// An api as a process, on a database of its own, with accounts of one tenant that are connected.
struct House {
    db: PgPool,
    url: String,
    api: Process,
    key: String,
    accounts: Vec<String>,
}

impl House {
    async fn start(name: &str, binary: PathBuf, accounts: usize) -> Self {
        let url = format!("{}/{name}", variable("DATABASE_URL").rsplit_once('/').unwrap().0);
        Postgres::create_database(&url).await.unwrap();
        let db = PgPool::connect(&url).await.unwrap();
        MIGRATOR.run(&db).await.unwrap();
        let prefix = format!("bench-{name}:");
        let settings = Settings::default().with(&[
            ("DATABASE_URL", &url),
            ("DATABASE_CONNECTIONS", &number("CONNECTIONS", 16).to_string()),
            ("REDIS_PREFIX", &prefix),
            ("RUST_LOG", "warn"),
        ]);
        let api = stack::start(kit::Program::Api, &binary, &settings).await;
        let gateway = stack::admin(&db, &api.url()).await.tenant("Bench").await;
        let (tenant, key) = (gateway.tenant.unwrap(), gateway.key().unwrap().to_owned());
        let mut ids = Vec::new();
        for _ in 0..accounts {
            ids.push(Account::of("connected").insert(&db, tenant).await.to_string());
        }
        Self { db, url, api, key, accounts: ids }
    }

    /// Sends the messages of a shape. `None` if this api has no such route.
    async fn round(&self, shape: &Shape, messages: usize) -> Option<Figures> {
        let rest = if shape.batch > 1 { "messages/batch" } else { "messages" };
        let requests = |client: usize, count: usize, run: &str| -> Vec<Vec<u8>> {
            let of = |n: usize| {
                let n = n * shape.clients + client;
                self.request(&self.accounts[n % self.accounts.len()], rest, shape, n, run)
            };
            (0..count).map(of).collect()
        };
        let address = self.api.url().trim_start_matches("http://").to_owned();
        let warm = send(&address, vec![requests(0, 100_usize.div_ceil(shape.batch), "warm")], Duration::ZERO).await?;
        assert!(!warm.is_empty());
        let each = (messages / shape.batch / shape.clients).max(1);
        let prepared: Vec<Vec<Vec<u8>>> = (0..shape.clients).map(|client| requests(client, each, "run")).collect();
        tokio::time::sleep(Duration::from_millis(1_500)).await; // for Postgres's counters
        let before = (busy(self.api.pid().unwrap()), busy_postgres(), transactions(&self.db).await);
        let begun = Instant::now();
        let mut times = send(&address, prepared, shape.pause).await?;
        let wall = begun.elapsed();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let now = (busy(self.api.pid().unwrap()), busy_postgres(), transactions(&self.db).await);
        let accepted = (times.len() * shape.batch) as f64;
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE body LIKE 'run %'")
            .fetch_one(&self.db)
            .await
            .unwrap();
        assert_eq!(stored as f64, accepted, "each accepted message is stored once");
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let per_message = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e3 / accepted;
        Some(Figures {
            per_s: accepted / wall.as_secs_f64(),
            p50: at(0.5),
            p99: at(0.99),
            api: per_message(now.0, before.0),
            postgres: per_message(now.1, before.1),
            transactions: (now.2 - before.2) as f64 / accepted,
        })
    }

    /// The bytes of a request.
    fn request(&self, account: &str, rest: &str, shape: &Shape, n: usize, run: &str) -> Vec<u8> {
        let message = |place: usize| {
            let chat = (n * shape.batch + place) % 1_000;
            format!(
                r#"{{"to":"+4917012340{chat:03}","text":"{run} {n} {place}, about as long as a message that people send"}}"#
            )
        };
        let body = if shape.batch > 1 {
            let messages: Vec<String> = (0..shape.batch).map(message).collect();
            format!(r#"{{"messages":[{}]}}"#, messages.join(","))
        } else {
            message(0)
        };
        let key = if shape.keys { format!("Idempotency-Key: {run} {n}\r\n") } else { String::new() };
        let head = format!(
            "POST /v1/accounts/{account}/{rest} HTTP/1.1\r\nHost: api\r\nX-Api-Key: {}\r\nContent-Type: application/json\r\n\
             {key}Content-Length: {}\r\n\r\n",
            self.key,
            body.len()
        );
        (head + &body).into_bytes()
    }

    async fn end(self) {
        drop(self.api);
        self.db.close().await;
        Postgres::force_drop_database(&self.url).await.unwrap();
    }
}

/// Sends the requests of each client, and returns the time of each request. `None` if there is no such route.
async fn send(address: &str, clients: Vec<Vec<Vec<u8>>>, pause: Duration) -> Option<Vec<Duration>> {
    let threads: Vec<_> = clients
        .into_iter()
        .map(|requests| {
            let address = address.to_owned();
            tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut times = Vec::with_capacity(requests.len());
                for request in requests {
                    let begun = Instant::now();
                    stream.write_all(&request).unwrap();
                    match status(&mut stream) {
                        202 => times.push(begun.elapsed()),
                        404 | 405 => return None,
                        other => panic!("answered with {other}"),
                    }
                    std::thread::sleep(pause);
                }
                Some(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.await.unwrap()?);
    }
    Some(times)
}

/// Reads an answer to its end, and returns its status.
fn status(stream: &mut TcpStream) -> u16 {
    let (mut bytes, mut part) = (Vec::new(), [0; 65_536]);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the connection was closed");
        bytes.extend_from_slice(&part[..read]);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut left = (head + length.unwrap().parse::<usize>().unwrap()) - bytes.len();
    while left > 0 {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the connection was closed");
        left -= read;
    }
    text.split(' ').nth(1).unwrap().parse().unwrap()
}
