//! The short way of events to a healthy receiver: in order, once, written together, and costing nothing while there are
//! none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::id::AccountId;
use serde_json::json;
use sqlx::{ConnectOptions as _, PgPool};
use store::MIGRATOR;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{Answer, Mover, Receiver};

const DELIVERED: &str = "SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'";

/// R113: many pages of events come once each, those of an account in order, and leave no data behind.
#[sqlx::test(migrator = "MIGRATOR")]
async fn many_pages_come_in_order(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let accounts: Vec<_> = (0..7).map(|_| Some(AccountId::new())).collect();
    let all: Vec<_> = (0..730).map(|n| (accounts[n % 7], "a.b", n)).collect();
    mover.happen(tenant, &all).await;
    mover.counts(DELIVERED, 730).await;
    let received = receiver.received();
    assert_eq!(received.len(), 730, "each once");
    for account in accounts {
        let own = received.iter().filter(|(event, _)| event["account_id"] == json!(account));
        let numbers: Vec<_> = own.map(|(event, _)| event["data"]["n"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.len() >= 104, "{numbers:?}");
    }
    let listed =
        "SELECT count(*) FROM (SELECT event_id, lag(event_id) OVER (ORDER BY seq) AS before FROM webhook_deliveries) d
                  WHERE before > event_id";
    assert_eq!(mover.count(listed).await, 0, "the list has the order of the events");
    assert_eq!(mover.count("SELECT count(*) FROM webhook_deliveries WHERE data IS NOT NULL OR attempts <> 1").await, 0);
    mover.stop().await;
}

/// R113, R63: one failure in the middle of a page keeps the order of its account, and nothing is lost or skipped.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failure_in_a_page_keeps_the_order(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let mut refusals = 1;
    let receiver = Receiver::start(move |event| {
        let fails = event["data"]["n"] == 20 && refusals > 0;
        refusals -= usize::from(fails);
        Answer::Status(if fails { 500 } else { 200 })
    })
    .await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let accounts: Vec<_> = (0..2).map(|_| Some(AccountId::new())).collect();
    let all: Vec<_> = (0..150).map(|n| (accounts[n % 2], "a.b", n)).collect();
    mover.happen(tenant, &all).await;
    mover.counts(DELIVERED, 150).await;
    let received = receiver.received();
    assert_eq!(received.len(), 151);
    for account in accounts {
        let taken =
            received.iter().filter(|(event, status)| event["account_id"] == json!(account) && *status == Some(200));
        let numbers: Vec<_> = taken.map(|(event, _)| event["data"]["n"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.len() == 75, "{numbers:?}");
    }
    assert_eq!(mover.count("SELECT count(*) FROM webhooks WHERE failures = 0 AND failing_since IS NULL").await, 1);
    mover.stop().await;
}

/// R63: what was posted and not written is posted again by the next owner, with the same `webhook-id`.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_crash_left_unwritten_is_posted_again(pool: PgPool) {
    let mover = Mover::start(pool.clone()).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$";
    sqlx::query(refuse).execute(&pool).await.unwrap();
    let refused = "CREATE TRIGGER refused BEFORE INSERT ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::query(refused).execute(&pool).await.unwrap();
    mover.happen(tenant, &[(Some(AccountId::new()), "a.b", 0)]).await;
    receiver.got(1, |_| true).await;
    mover.crash().await;
    sqlx::query("DROP TRIGGER refused ON webhook_deliveries").execute(&pool).await.unwrap();
    let next = Mover::start(pool).await;
    receiver.got(2, |_| true).await;
    next.counts(DELIVERED, 1).await;
    let ids = receiver.ids();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    let id = "SELECT count(*) FROM webhook_deliveries WHERE id::text = $1";
    assert_eq!(sqlx::query_scalar::<_, i64>(id).bind(&ids[0]).fetch_one(&next.pool).await.unwrap(), 1);
    next.stop().await;
}

/// R113: events that a webhook does not carry hold up none that it carries, and its cursor follows them from afar.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_a_webhook_does_not_carry_is_passed_over(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    sqlx::query("UPDATE webhooks SET kinds = '{a.b}'").execute(&mover.pool).await.unwrap();
    let other: Vec<_> = (0..250).map(|n| (None, "c.d", n)).collect();
    mover.happen(tenant, &other).await;
    mover.happen(tenant, &[(None, "a.b", 1)]).await;
    mover.counts(DELIVERED, 1).await;
    // 1,000 events that it does not carry move the cursor
    let other: Vec<_> = (0..1_000).map(|n| (None, "c.d", n)).collect();
    mover.happen(tenant, &other).await;
    let behind = "SELECT count(*) / 1000 FROM events e JOIN webhooks h ON h.tenant_id = e.tenant_id
                  WHERE e.kind = 'c.d' AND e.id > h.cursor_id";
    mover.counts(behind, 0).await;
    mover.happen(tenant, &[(None, "a.b", 2)]).await;
    mover.counts(DELIVERED, 2).await;
    assert_eq!(receiver.received().len(), 2);
    mover.stop().await;
}

/// A line to the database that counts what is said to it.
async fn counted(target: (String, u16)) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (target, counter) = (target.clone(), Arc::clone(&counter));
            tokio::spawn(async move {
                let (mut from, mut back) = client.into_split();
                let (mut answers, mut to) = TcpStream::connect(target).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
                let mut said = [0; 64 * 1024];
                while let Ok(length @ 1..) = from.read(&mut said).await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    to.write_all(&said[..length]).await.unwrap();
                }
            });
        }
    });
    (address, count)
}

/// R113: webhooks of tenants with no news ask the database nothing. What is left is the worker's own look for free
/// webhooks, which is the same however many it has. This takes the seven seconds for which it counts.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_idle_webhook_asks_nothing(pool: PgPool) {
    let mut url = pool.connect_options().to_url_lossy();
    let (address, said) = counted((url.host_str().unwrap().to_owned(), url.port().unwrap())).await;
    url.set_ip_host(address.ip()).unwrap();
    url.set_port(Some(address.port())).unwrap();
    let mover = Mover::start_on(pool, url.as_str()).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let mut tenants = Vec::new();
    for _ in 0..30 {
        let tenant = mover.tenant().await;
        mover.webhook(tenant, &receiver).await;
        tenants.push(tenant);
    }
    for tenant in &tenants {
        mover.happen(*tenant, &[(None, "a.b", 0)]).await;
    }
    mover.counts(DELIVERED, 30).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // for what followed the deliveries
    let before = said.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(7)).await;
    let said = said.load(Ordering::SeqCst) - before;
    assert!(said < 30, "{said} words to the database by 30 idle webhooks");
    mover.stop().await;
}
