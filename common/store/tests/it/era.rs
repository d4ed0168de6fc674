//! Events and positions that came from another cluster, whose transaction ids this cluster has not reached yet (R63).
//!
//! These tests make what a restore into a new cluster leaves, by moving the stored ids ahead. `e2e restore::*` does it
//! with a dump.

use std::time::Duration;

use kit::put_event;
use sqlx::PgPool;
use store::events::{self, Cursor};
use store::{MIGRATOR, Store, era};

use crate::webhooks::{due, happen, held, numbers, owned, take, take_all};

/// How far the other cluster's transaction ids are ahead of those of a test's server.
const AHEAD: i64 = 3_000_000_000;

/// Changes the rows as if a cluster that is ahead of this one had written everything.
async fn from_elsewhere(db: &PgPool) {
    for sql in [
        "UPDATE events SET txid = (txid::text::bigint + $1)::text::xid8",
        "UPDATE webhooks SET cursor_txid = cursor_txid + $1",
        "UPDATE webhook_deliveries SET event_txid = event_txid + $1",
    ] {
        sqlx::query(sql).bind(AHEAD).execute(db).await.unwrap();
    }
}

async fn starts(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT starts FROM event_era").fetch_one(db).await.unwrap()
}

/// R63: after a restore into a younger cluster a webhook gets its pending deliveries and new events, in order and once.
/// A live stream goes on after its last position, and after a position that was given out after the dump.
#[sqlx::test(migrator = "MIGRATOR")]
async fn positions_outlive_their_cluster(db: PgPool) {
    let store = Store::from(db.clone());
    let of = owned(&db, &[]).await;
    for n in 0..4 {
        happen(&db, of.0, None, "a.b", n).await;
    }
    take_all(&db, of, 3).await; // pages of three, so the fourth event is still to be taken
    assert!(held(&db, of).await.cursor < events::end(store.of(of.0)).await.unwrap(), "it has something ahead of it");
    from_elsewhere(&db).await;
    let seen = held(&db, of).await.cursor;
    let lost = Cursor { txid: seen.txid + 1_000_000, id: 9 }; // of an event after the dump, which is lost

    era::keep_up(&db).await.unwrap();
    happen(&db, of.0, None, "a.b", 4).await;
    happen(&db, of.0, None, "a.b", 5).await;
    tokio::time::timeout(Duration::from_secs(20), take_all(&db, of, 3)).await.expect("what happens is seen");
    assert_eq!(numbers(&due(&db, of).await), [0, 1, 2, 3, 4, 5]);
    assert_eq!(take(&db, of, 100).await, 0, "nothing is read twice");
    let n = async |cursor| {
        let page = events::after(store.of(of.0), cursor, None, 100).await.unwrap();
        assert!(!page.held_back);
        page.events.iter().map(|event| event.data["n"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(n(seen).await, [3, 4, 5]);
    assert_eq!(n(lost).await, [4, 5]);
    let end = events::end(store.of(of.0)).await.unwrap();
    assert!(end > lost && n(end).await.is_empty());
}

/// R63: an era begins once, however many callers look, and not at all if everything was written here.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_era_begins_where_it_must(db: PgPool) {
    let of = owned(&db, &[]).await;
    era::keep_up(&db).await.unwrap();
    happen(&db, of.0, None, "a.b", 0).await;
    take_all(&db, of, 1).await;
    era::keep_up(&db).await.unwrap();
    assert_eq!(starts(&db).await, 0);
    from_elsewhere(&db).await;
    let all = tokio::join!(era::keep_up(&db), era::keep_up(&db), era::keep_up(&db));
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok());
    let first = starts(&db).await;
    assert_eq!(first, 2 << 32);

    // a cursor alone is enough, because retention may have removed the events
    sqlx::query("DELETE FROM events").execute(&db).await.unwrap();
    sqlx::query("UPDATE webhooks SET cursor_txid = $1").bind(first + AHEAD).execute(&db).await.unwrap();
    era::keep_up(&db).await.unwrap();
    assert_eq!(starts(&db).await, 4 << 32);
    assert_eq!(era::begin(&db).await.unwrap(), 6 << 32, "by hand, in any case");
}

/// R63: a writer that is active while an era begins is not skipped: all its events belong to the era before.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_era_waits_for_who_writes(db: PgPool) {
    let of = owned(&db, &[]).await;
    let mut slow = db.begin().await.unwrap();
    put_event(&mut slow, of.0, None, "a.b", &serde_json::json!({"n": 0})).await.unwrap();
    let pool = db.clone();
    let begun = tokio::spawn(async move { era::begin(&pool).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!begun.is_finished(), "it waits");
    put_event(&mut slow, of.0, None, "a.b", &serde_json::json!({"n": 1})).await.unwrap();
    slow.commit().await.unwrap();
    begun.await.unwrap().unwrap();
    happen(&db, of.0, None, "a.b", 2).await;
    take_all(&db, of, 3).await;
    assert_eq!(numbers(&due(&db, of).await), [0, 1, 2]);
}
