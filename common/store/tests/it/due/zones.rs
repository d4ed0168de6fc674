//! New zone data and sleeping schedulers.

use std::time::Duration;

use schedule::zone;
use sqlx::PgPool;
use store::reminders::{Wake, refresh_zone_data};
use store::{MIGRATOR, Store};

use super::{account, reminder};

async fn is_woken(wake: &mut Wake) -> bool {
    tokio::time::timeout(Duration::from_millis(500), wake.woken(Duration::ZERO)).await.is_ok()
}

/// R40: new zone data may move a reminder before the time until which schedulers sleep. They are woken, once and only
/// then.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_moved_wakes_schedulers(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    reminder(&db, of, Some("FREQ=DAILY"), -7_200, 1).await;
    let planned =
        "UPDATE reminders SET next_fire_at = next_fire_at + make_interval(hours => $1), tzdb_version = '2009a'";
    let mut wake = Wake::listen(&db).await.unwrap();
    for (off_hours, moved) in [(3, 1), (0, 0)] {
        sqlx::query(planned).bind(off_hours).execute(&db).await.unwrap();
        let refreshed = refresh_zone_data(store.for_all_tenants(), zone::data_version(), 10).await.unwrap().quietly();
        assert_eq!((refreshed.seen, refreshed.moved.len()), (1, moved));
        assert_eq!(is_woken(&mut wake).await, moved > 0);
    }
    assert_eq!(refresh_zone_data(store.for_all_tenants(), zone::data_version(), 10).await.unwrap().quietly().seen, 0);
}
