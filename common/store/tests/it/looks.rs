//! What a sender reads of its account's queued messages.

use domain::id::AccountId;
use kit::rows;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use store::outbox::{self, Waiting};
use store::{Fence, MIGRATOR, Store};

/// Queues so many messages, in turn to each of so many chats.
async fn queue(db: &PgPool, account: AccountId, chats: i32, messages: i32) {
    let rows = "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
        SELECT gen_random_uuid(), a.tenant_id, a.id, 'chat ' || to_char(n % $2, 'FM00000'), 'hello', gen_random_uuid()
        FROM accounts a, generate_series(0, $3 - 1) AS n WHERE a.id = $1 ORDER BY n";
    sqlx::query(rows).bind(account).bind(chats).bind(messages).execute(db).await.unwrap();
}

fn chats(rows: &[Waiting]) -> Vec<&str> {
    rows.iter().map(|row| row.chat.as_str()).collect()
}

/// R36: the oldest message of each chat is found behind a given chat, and the looks of many sessions are one statement
/// with an answer for each.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_session_sees_its_own_messages(db: PgPool) {
    let store = Store::from(db.clone());
    let mut fences = Vec::new();
    for n in 1..=20 {
        let fence = rows::claimed(&db).await;
        queue(&db, fence.account, n, n * 3).await;
        fences.push((n, fence));
    }
    let mut looks = tokio::task::JoinSet::new();
    for (n, fence) in fences.clone() {
        let store = store.clone();
        looks.spawn(async move { (n, outbox::waiting(store.under(fence), 30).await.unwrap()) });
    }
    while let Some(look) = looks.join_next().await {
        let (n, rows) = look.unwrap();
        assert_eq!(rows.len(), (n as usize * 3).min(30));
        assert!(rows.is_sorted_by_key(|row| row.seq));
        let most = rows.iter().map(|row| &row.chat).max().unwrap();
        assert_eq!(*most, format!("chat {:05}", n - 1), "its own chats only");
    }
    let (_, fence) = fences[9];
    let first = outbox::waiting_chats(store.under(fence), "", 4).await.unwrap();
    assert_eq!(chats(&first), ["chat 00000", "chat 00001", "chat 00002", "chat 00003"]);
    let oldest = outbox::waiting(store.under(fence), 10).await.unwrap();
    assert_eq!(first[3].id, oldest[3].id, "of each the oldest");
    let rest = outbox::waiting_chats(store.under(fence), "chat 00003", 100).await.unwrap();
    assert_eq!(chats(&rest), ["chat 00004", "chat 00005", "chat 00006", "chat 00007", "chat 00008", "chat 00009"]);
    sqlx::query("UPDATE accounts SET wanted = 'unlinked' WHERE id = $1")
        .bind(fence.account)
        .execute(&db)
        .await
        .unwrap();
    assert!(outbox::waiting_chats(store.under(fence), "", 4).await.unwrap().is_empty(), "it is being logged out");
    assert!(outbox::waiting(store.under(fence), 4).await.unwrap().is_empty());
}

/// How many rows and index entries of `messages` Postgres has read so far.
async fn read(db: &PgPool) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(db).await.unwrap();
    let read = "SELECT seq_tup_read + idx_tup_fetch + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
        WHERE relname = 'messages') FROM pg_stat_user_tables WHERE relname = 'messages'";
    sqlx::query_scalar(read).fetch_one(db).await.unwrap()
}

/// R110: a look costs the same with ten queued messages and with many, to one chat or to many.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_look_costs_the_same_however_much_waits(pool: PgPool) {
    // one connection, so that what it has read is counted at once
    let db = PgPoolOptions::new().max_connections(1).connect_with((*pool.connect_options()).clone()).await.unwrap();
    let store = Store::from(db.clone());
    let mut costs = Vec::new();
    queue(&db, rows::claimed(&db).await.account, 100, 20_000).await; // in a small table a scan is the better way
    for (chats, messages) in [(1, 10), (10, 10), (1, 20_000), (20_000, 20_000)] {
        let fence = rows::claimed(&db).await;
        queue(&db, fence.account, chats, messages).await;
        sqlx::query("ANALYZE messages").execute(&db).await.unwrap();
        let before = read(&db).await;
        assert!(!outbox::waiting(store.under(fence), 10).await.unwrap().is_empty());
        assert!(!outbox::waiting_chats(store.under(fence), "", 10).await.unwrap().is_empty());
        costs.push((chats, messages, read(&db).await - before));
    }
    assert!(costs.iter().all(|(.., read)| *read <= 100), "(chats, messages, rows read): {costs:?}");
}

/// R02: a look does not ask for the fence, and a write after it does.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_write_of_many_sessions_is_fenced_for_each(db: PgPool) {
    let store = Store::from(db.clone());
    let mut ends = tokio::task::JoinSet::new();
    for n in 0..40 {
        let fence = rows::claimed(&db).await;
        queue(&db, fence.account, 1, 2).await;
        let rows = outbox::waiting(store.under(fence), 10).await.unwrap();
        let under = Fence { epoch: fence.epoch - i64::from(n % 2 == 1), ..fence };
        let store = store.clone();
        ends.spawn(async move {
            let outcome = |row: &Waiting| outbox::Outcome { id: row.id, attempts: 1, failure: None };
            let written = outbox::finish(store.under(under), rows.iter().map(outcome).collect()).await;
            let receipt = |row: &Waiting| outbox::Receipt {
                whatsapp_id: row.whatsapp_id.clone(),
                read: true,
                at: chrono::Utc::now(),
            };
            let seen = outbox::receipts(store.under(under), rows.iter().map(receipt).collect()).await;
            assert_eq!((written.is_ok(), seen.is_ok()), (n % 2 == 0, n % 2 == 0));
            (fence.account, n % 2 == 0)
        });
    }
    for (account, is_held) in ends.join_all().await {
        let states = "SELECT array_agg(state ORDER BY seq) FROM messages WHERE account_id = $1";
        let states: Vec<String> = sqlx::query_scalar(states).bind(account).fetch_one(&db).await.unwrap();
        let kinds = "SELECT coalesce(array_agg(kind ORDER BY id), '{}') FROM events WHERE account_id = $1 AND kind LIKE 'message.%'";
        let kinds: Vec<String> = sqlx::query_scalar(kinds).bind(account).fetch_one(&db).await.unwrap();
        if is_held {
            assert_eq!(states, ["read", "read"]);
            let told = ["message.delivered", "message.read"];
            assert_eq!(kinds, [["message.sent", "message.sent"].as_slice(), &told, &told].concat());
        } else {
            assert_eq!((states, kinds), (vec!["queued".to_owned(), "queued".to_owned()], vec![]));
        }
    }
}
