//! Who waits for whom: neither a silent database nor a tenant with slow receivers keeps the others' webhooks waiting.

use std::time::Duration;

use common::id::AccountId;
use common::store::MIGRATOR;
use sqlx::PgPool;

use super::house::{Answer, Mover, Receiver};

/// R63: questions that the database does not answer are given up, and leave room for those of other webhooks. This takes the
/// ten seconds that it takes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_question_without_an_answer_is_given_up(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let (stuck, other) = (mover.tenant().await, mover.tenant().await);
    for _ in 0..4 {
        mover.webhook(stuck, &receiver).await;
    }
    mover.webhook(other, &receiver).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE owner IS NOT NULL", 5).await;
    let mut lock = mover.pool.begin().await.unwrap();
    let locked = "SELECT FROM webhooks WHERE tenant_id = $1 FOR UPDATE";
    sqlx::query(locked).bind(stuck).execute(&mut *lock).await.unwrap();
    mover.happen(stuck, &[(None, "a.stuck", 0)]).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%moved AS%'";
    mover.counts(waiting, 4).await;
    mover.happen(other, &[(None, "a.other", 0)]).await;
    let took = receiver.got(1, |event| event["kind"] == "a.other").await;
    println!("posted {took:?} after four questions were stuck");
    lock.rollback().await.unwrap();
    receiver.got(4, |event| event["kind"] == "a.stuck").await;
    mover.stop().await;
}

/// R63: a database that is read and not written has a receiver see the same event again ever more rarely.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_not_written_is_posted_ever_more_rarely(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$";
    sqlx::query(refuse).execute(&mover.pool).await.unwrap();
    let refused = "CREATE TRIGGER refused BEFORE UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::query(refused).execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(None, "a.b", 0)]).await;
    receiver.got(1, |_| true).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    let posted = receiver.received().len();
    assert!((2..=5).contains(&posted), "{posted} within nine seconds, after 1, 2 and 4 seconds");
    mover.stop().await;
}

/// R63: a tenant has so many requests under way, however many slow receivers it has.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_tenant_has_so_many_requests_under_way(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let (slow, quick) = (Receiver::start(|_| Answer::Never).await, Receiver::start(|_| Answer::Status(200)).await);
    let (many, other) = (mover.tenant().await, mover.tenant().await);
    for _ in 0..10 {
        mover.webhook(many, &slow).await;
    }
    mover.webhook(other, &quick).await;
    mover.counts("SELECT count(*) FROM webhooks WHERE owner IS NOT NULL", 11).await;
    let accounts = [0, 1, 2, 3].map(|n| (Some(AccountId::new()), "a.b", n));
    mover.happen(many, &accounts).await;
    slow.got(32, |_| true).await;
    mover.happen(other, &accounts).await;
    quick.got(4, |_| true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.received().len(), 32, "of the 40 that ten webhooks might have");
    mover.stop().await;
}
