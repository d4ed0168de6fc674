//! Long texts.

use sqlx::PgPool;
use store::runs::fire_due;
use store::{MIGRATOR, Store};

use super::{account, reminder};

/// R45: if texts are long, fewer reminders fire in one transaction, but each fires.
#[sqlx::test(migrator = "MIGRATOR")]
async fn long_texts_fire_in_smaller_batches(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    for _ in 0..3 {
        let reminder = reminder(&db, of, None, 2, 1).await;
        sqlx::query(
            "INSERT INTO reminder_messages (tenant_id, reminder_id, position, body)
             SELECT $1, $2, place, repeat('x', 65536) FROM generate_series(2, 41) AS place",
        )
        .bind(of.0)
        .bind(reminder)
        .execute(&db)
        .await
        .unwrap();
    }
    let mut batches = Vec::new();
    while batches.last() != Some(&0) {
        batches.push(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.len());
    }
    assert_eq!(batches, [1, 1, 1, 0]);
}
