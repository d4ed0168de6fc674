//! Shows what waits: bells in Redis, which may be lost, and rows in Postgres, which may not.

use std::io::Write;
use std::time::Duration;

use bells::doorbell::Doorbell;
use domain::job::Queue;
use serde::Serialize;
use store::admin;

use super::postgres::{open, plainly};
use super::table::show;
use crate::config::Queues;

/// One queue, or one kind of waiting rows.
#[derive(Serialize)]
struct Row {
    /// `redis` or `postgres`.
    r#where: &'static str,
    what: String,
    waiting: i64,
    oldest_s: Option<f64>,
}

pub(super) async fn run(queues: Queues, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let stores = queues.stores;
    let store = open(&stores.database).await?;
    let workers = admin::workers(store.pool(), Duration::ZERO).await;
    let workers = workers.map_err(|error| plainly(error, &stores.database))?;
    let inboxes = workers.iter().map(|worker| Queue::Inbox(worker.id));
    let queues: Vec<Queue> = [Queue::Claim, Queue::FireReminder].into_iter().chain(inboxes).collect();
    let doorbell = Doorbell::connect(&stores.redis.url, &stores.redis.prefix)?;
    let mut rows = Vec::new();
    match doorbell.lengths(&queues).await {
        Ok(lengths) => rows.extend(queues.iter().zip(lengths).map(|(queue, waiting)| Row {
            r#where: "redis",
            what: match queue {
                Queue::Inbox(id) => {
                    let host = workers.iter().find(|worker| worker.id == *id).map_or("?", |worker| &worker.name);
                    format!("inbox of {host} ({id})")
                }
                shared => shared.kind().to_owned(),
            },
            waiting,
            oldest_s: None,
        })),
        Err(error) => eprintln!("Redis was not asked: {error}"),
    }
    let waiting = admin::waiting(store.for_all_tenants()).await.map_err(|error| plainly(error, &stores.database))?;
    rows.extend(waiting.into_iter().map(|kind| Row {
        r#where: "postgres",
        what: kind.what,
        waiting: kind.count,
        oldest_s: kind.oldest_s,
    }));
    show(out, stores.json, &rows, ["WHERE", "WHAT", "WAITING", "OLDEST"], |row| {
        let oldest = row.oldest_s.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
        [row.r#where.to_owned(), row.what.clone(), row.waiting.to_string(), oldest]
    })
}
