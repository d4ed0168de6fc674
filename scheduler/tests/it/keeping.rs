//! For how long rows are kept (R96), and that removing them keeps up with what comes.

use std::time::Duration;

use scheduler::duties::prune::Prune;
use scheduler::duty::Duty as _;
use sqlx::PgPool;
use store::Store;

use crate::house;

fn prune() -> Prune {
    let day = Duration::from_hours(24);
    Prune { events_kept: 7 * day, runs_kept: 90 * day, messages_kept_days: 90, audit_kept_days: 365 }
}

/// Writes so many messages of every account, this old and in this state.
async fn messages(db: &PgPool, count: i32, days: i32, state: &str) {
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, state, created_at, sent_at, delivered_at,
             read_at, failed_at)
         SELECT gen_random_uuid(), a.tenant_id, a.id, 'x@g.us', 'hello', gen_random_uuid()::text, $3, at,
             CASE WHEN $3 IN ('sent', 'delivered', 'read') THEN at END, CASE WHEN $3 IN ('delivered', 'read') THEN at END,
             CASE WHEN $3 = 'read' THEN at END, CASE WHEN $3 = 'failed' THEN at END
         FROM (SELECT now() - make_interval(days => $2) AS at) t, accounts a, generate_series(1, $1)",
    )
    .bind(count)
    .bind(days)
    .bind(state)
    .execute(db)
    .await
    .unwrap();
}

async fn count(db: &PgPool, what: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {what}"))).fetch_one(db).await.unwrap()
}

/// R96: messages and the audit trail go after their days, a tenant's own if those are fewer; what waits stays.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn messages_and_the_trail_are_kept_for_their_days(db: PgPool) {
    let context = house::context(&db).await;
    house::account(&db).await;
    let (short, _) = {
        sqlx::query("UPDATE accounts SET phone_number = '49170000002'").execute(&db).await.unwrap();
        house::account(&db).await
    };
    sqlx::query("UPDATE tenants SET messages_kept_days = 10, audit_kept_days = 20 WHERE id = $1")
        .bind(short)
        .execute(&db)
        .await
        .unwrap();
    messages(&db, 1, 100, "queued").await; // of each tenant, and in front of the others
    for (days, state) in [(91, "read"), (89, "sent"), (9, "failed")] {
        messages(&db, 1, days, state).await;
    }
    for days in [366, 364, 19] {
        sqlx::query(
            "INSERT INTO audit (id, tenant_id, action, outcome, created_at)
             SELECT gen_random_uuid(), t, 'create', 'ok', now() - make_interval(days => $1)
             FROM (SELECT id AS t FROM tenants UNION ALL SELECT gen_random_uuid()) t",
        )
        .bind(days)
        .execute(&db)
        .await
        .unwrap();
    }
    prune().run_once(&context).await.unwrap();
    assert_eq!(count(&db, "messages WHERE state = 'queued'").await, 2);
    assert_eq!(count(&db, "messages WHERE state = 'read'").await, 0);
    assert_eq!(count(&db, "messages WHERE state = 'sent'").await, 1, "the other tenant's are kept for ten days");
    assert_eq!(count(&db, "messages WHERE state = 'failed'").await, 2);
    assert_eq!(count(&db, "audit WHERE created_at < now() - interval '365 days'").await, 0);
    assert_eq!(
        count(&db, "audit WHERE created_at < now() - interval '20 days'").await,
        2,
        "of a tenant, and of a deleted one"
    );
    assert_eq!(count(&db, "audit").await, 2 + 3);
}

/// R96: a round that finds more than it may remove is followed by the next at once, until nothing is left; then it rests.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn removing_keeps_up_with_what_comes(db: PgPool) {
    let context = house::context(&db).await;
    house::account(&db).await;
    messages(&db, 25_000, 100, "sent").await;
    let (mut rounds, mut done) = (0, 0);
    loop {
        let round = prune().run_once(&context).await.unwrap();
        rounds += 1;
        done += round.done;
        match round.next_in {
            Some(rest) => assert_eq!(rest, Duration::ZERO),
            None => break,
        }
    }
    assert_eq!(done, 25_000);
    assert!(rounds > 1, "one round does not hold its database for longer than it must");
    assert_eq!(count(&db, "messages").await, 0);
}

/// R96: the texts of a run that rests are kept, however old: it may be resumed.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_a_resting_run_has_to_send_is_kept(db: PgPool) {
    let store = Store::from(db.clone());
    let context = house::context(&db).await;
    let of = house::account(&db).await;
    house::reminder(&db, of, -10).await;
    let run = store::runs::fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired[0].run;
    messages(&db, 1, 100, "failed").await;
    sqlx::query("UPDATE messages SET run_id = $1, run_position = 0").bind(run).execute(&db).await.unwrap();
    prune().run_once(&context).await.unwrap();
    assert_eq!(count(&db, "messages").await, 1);
    sqlx::query("UPDATE runs SET status = 'partial', finished_at = now()").execute(&db).await.unwrap();
    prune().run_once(&context).await.unwrap();
    assert_eq!(count(&db, "messages").await, 0);
}

/// R95: a webhook's old secret is erased when it signs no more.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_old_secret_is_erased(db: PgPool) {
    let store = Store::from(db.clone());
    use store::audit::Operator;
    use store::webhooks;
    let context = house::context(&db).await;
    let (tenant, _) = house::account(&db).await;
    let by = Operator::System("test");
    let (webhook, _) = webhooks::create(store.of(tenant), "https://example.com/", &[], by).await.unwrap();
    webhooks::rotate_secret(store.of(tenant), webhook.id, by).await.unwrap();
    prune().run_once(&context).await.unwrap();
    assert_eq!(count(&db, "webhooks WHERE previous_secret IS NOT NULL").await, 1, "both sign for a day");
    sqlx::query("UPDATE webhooks SET previous_secret_until = now() - interval '1 second'").execute(&db).await.unwrap();
    prune().run_once(&context).await.unwrap();
    assert_eq!(count(&db, "webhooks WHERE previous_secret IS NOT NULL").await, 0);
}
