//! Reminders of an account that is being deleted.

use domain::committed::After;
use domain::run::Status;
use sqlx::PgPool;
use store::runs::{Expansion, expand_run, fire_due, next_due_in};
use store::{MIGRATOR, Store};

use super::{account, count, reminder};

const ERASE: &str = "UPDATE accounts SET wanted = 'erased' WHERE id = $1";

/// R15, R50: while an account waits for the logout of its device, its reminders do not fire and there are no events.
/// Schedulers do not look at it repeatedly. A run that fired just before is not sent.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_being_deleted_does_not_fire(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let other = account(&db, "connected").await;
    reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
    let fired = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    reminder(&db, of, Some("FREQ=DAILY"), 2, 1).await;
    sqlx::query("UPDATE reminders SET next_fire_at = now() WHERE next_fire_at > now()").execute(&db).await.unwrap();
    sqlx::query(ERASE).bind(of.1).execute(&db).await.unwrap();
    sqlx::query("DELETE FROM notifications").execute(&db).await.unwrap();

    let (firing, after) = fire_due(store.for_all_tenants(), 10).await.unwrap().parts();
    assert_eq!((firing.due, firing.fired.len(), after), (2, 0, After::default()));
    assert_eq!(next_due_in(store.for_all_tenants()).await.unwrap(), None);
    let expansion = expand_run(store.for_all_tenants(), fired).await.unwrap().quietly();
    assert!(matches!(expansion, Expansion::Dropped { status: Status::Canceled, .. }), "{expansion:?}");
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 0);
    assert_eq!(count(&db, "SELECT count(*) FROM notifications").await, 0);

    reminder(&db, other, None, 2, 1).await;
    let firing = fire_due(store.for_all_tenants(), 10).await.unwrap().quietly();
    assert_eq!((firing.due, firing.fired.len()), (1, 1));
}
