//! Who waits for whom: neither a silent database nor a tenant with slow receivers keeps the others' webhooks waiting.

use std::net::SocketAddr;
use std::time::Duration;

use domain::id::AccountId;
use sqlx::{ConnectOptions as _, PgPool};
use store::MIGRATOR;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::house::{Answer, Mover, Receiver};

/// A line to a server; what the sender says freezes the connections of that moment until the sender goes, and new ones are
/// good.
async fn line(target: (String, u16)) -> (SocketAddr, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (freeze, frozen) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut frozen, target) = (frozen.clone(), target.clone());
            frozen.mark_unchanged();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    Ok(()) = frozen.changed() => drop(frozen.changed().await),
                }
            });
        }
    });
    (address, freeze)
}

/// R63: questions that the database does not answer are given up, and webhooks go on over other connections. This takes the
/// ten seconds that it takes.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_question_without_an_answer_is_given_up(pool: PgPool) {
    let mut url = pool.connect_options().to_url_lossy();
    let (address, freeze) = line((url.host_str().unwrap().to_owned(), url.port().unwrap())).await;
    url.set_ip_host(address.ip()).unwrap();
    url.set_port(Some(address.port())).unwrap();
    let mover = Mover::start_on(pool, url.as_str()).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    for _ in 0..5 {
        mover.webhook(tenant, &receiver).await;
    }
    mover.happen(tenant, &[(None, "a.before", 0)]).await;
    mover.counts("SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'", 5).await;
    freeze.send(()).unwrap();
    mover.happen(tenant, &[(None, "a.after", 0)]).await;
    let took = receiver.got(5, |event| event["kind"] == "a.after").await;
    println!("posted {took:?} after the database fell silent");
    drop(freeze);
    mover.stop().await;
}

/// R63: a database that is read and not written has a receiver see the same event again ever more rarely. The write is
/// repeated for ten seconds before the event is posted again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_not_written_is_posted_ever_more_rarely(pool: PgPool) {
    let mover = Mover::start(pool).await;
    let receiver = Receiver::start(|_| Answer::Status(200)).await;
    let tenant = mover.tenant().await;
    mover.webhook(tenant, &receiver).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END $$";
    sqlx::query(refuse).execute(&mover.pool).await.unwrap();
    let refused =
        "CREATE TRIGGER refused BEFORE INSERT OR UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::query(refused).execute(&mover.pool).await.unwrap();
    mover.happen(tenant, &[(None, "a.b", 0)]).await;
    receiver.got(1, |_| true).await;
    let took = receiver.got(2, |_| true).await;
    assert!(took > Duration::from_secs(9), "{took:?}");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(receiver.received().len(), 2);
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
