//! Which statements a message costs: `pg_stat_statements` of a standard run. 50 accounts with one chat each, posted by 16
//! clients, from the request to the read receipt. `MESSAGES` sets the amount, `LINES` how many statements are listed.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::PgPool;

use crate::stack::Stack;
use crate::{number, variable};

const ACCOUNTS: usize = 50;

/// What Postgres counted of one kind of statement.
#[derive(sqlx::FromRow)]
struct Statement {
    id: i64,
    query: String,
    calls: i64,
    ms: f64,
    rows: i64,
    wal_bytes: f64,
}

/// Runs the load and prints the table.
pub(crate) async fn measure() {
    let (messages, lines) = (number("MESSAGES", 4_000), number("LINES", 20));
    let folder = PathBuf::from(variable("BINARIES"));
    let simulator = simulator::start(simulator::Config::default()).await.unwrap();
    let phones = (simulator.ws_url(), simulator.admin_url());
    let name = format!("switchboard_bench_statements_{}", std::process::id());
    let binaries = (folder.join("switchboard-api"), folder.join("switchboard-worker"));
    let stack = Stack::start(&name, &phones, &[], (&binaries.0, &binaries.1)).await;
    let (mut accounts, mut chats) = (Vec::new(), Vec::new());
    for n in 0..ACCOUNTS {
        accounts.push(stack.scene.connected(&format!("Bench {n}")).await.0);
        chats.push(stack.scene.phone(&format!("Chat {n}")).await);
    }
    // the first messages to a number fetch keys
    stack.post(&accounts, &chats[..1], 2 * ACCOUNTS, 16).await;
    stack.all_acknowledged().await;
    quiet().await;
    let before = found(&stack.db).await;
    stack.post(&accounts, &chats[..1], messages, 16).await;
    stack.all_acknowledged().await;
    quiet().await;
    print(&since(&before, found(&stack.db).await), messages, lines);
    stack.end().await;
}

/// Waits for receipts that are on their way.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1_500)).await;
}

async fn found(db: &PgPool) -> Vec<Statement> {
    let statements =
        "SELECT queryid AS id, query, calls, total_exec_time + total_plan_time AS ms, rows, wal_bytes::float8 AS wal_bytes
        FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query !~ 'pg_stat_statements'";
    sqlx::query_as(statements).fetch_all(db).await.unwrap()
}

/// What was counted since then, the dearest first.
fn since(before: &[Statement], mut now: Vec<Statement>) -> Vec<Statement> {
    for statement in &mut now {
        if let Some(earlier) = before.iter().find(|earlier| earlier.id == statement.id) {
            statement.calls -= earlier.calls;
            statement.ms -= earlier.ms;
            statement.rows -= earlier.rows;
            statement.wal_bytes -= earlier.wal_bytes;
        }
    }
    now.retain(|statement| statement.calls > 0);
    now.sort_by(|one, other| other.ms.total_cmp(&one.ms));
    now
}

fn print(found: &[Statement], messages: usize, lines: usize) {
    let per = |value: f64| value / messages as f64;
    println!(
        "| statement | calls per message | rows per call | ms per call | ms per message | WAL bytes per message |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    let mut all = (0.0, 0.0, 0.0);
    for (place, statement) in found.iter().enumerate() {
        let calls = statement.calls as f64;
        all = (all.0 + calls, all.1 + statement.ms, all.2 + statement.wal_bytes);
        if place < lines {
            println!(
                "| `{}` | {:.2} | {:.1} | {:.3} | {:.3} | {:.0} |",
                beginning(&statement.query),
                per(calls),
                statement.rows as f64 / calls,
                statement.ms / calls,
                per(statement.ms),
                per(statement.wal_bytes)
            );
        }
    }
    println!("| all {} kinds | {:.2} | | | {:.3} | {:.0} |", found.len(), per(all.0), per(all.1), per(all.2));
}

/// The beginning of a statement, in one line.
fn beginning(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "¦").replace('`', "'");
    if line.chars().count() > 110 { format!("{}…", line.chars().take(110).collect::<String>()) } else { line }
}
