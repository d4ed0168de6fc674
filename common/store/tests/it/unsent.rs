//! A message is sent from the phone that it was accepted for, or not at all.

use domain::account::{Method, Status};
use domain::conflict::Conflict;
use domain::id::{AccountId, MessageId, TenantId};
use domain::jid::Jid;
use kit::rows;
use sqlx::PgPool;
use store::accounts;
use store::audit::Operator;
use store::messages::{self, Draft};
use store::outbox::{self, Receipt};
use store::pairing::{self, LinkedAs};
use store::session::{self, StatusChange};
use store::{Error, Fence, MIGRATOR, Store, unsent};

use crate::due::{account, count};
use crate::locks::waiting;
use crate::runs::under_way;

/// The number that [`account`] gives a linked phone.
const PHONE: &str = "49170000001";
const OTHER: &str = "49170000002";

async fn fence(db: &PgPool, account: AccountId) -> Fence {
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases WHERE account_id = $1");
    Fence { account, epoch: epoch.bind(account).fetch_one(db).await.unwrap() }
}

async fn queue(db: &PgPool, (tenant, account): (TenantId, AccountId)) -> store::Result<MessageId> {
    let store = Store::from(db.clone());
    let to: Jid = "4917012345678".parse().unwrap();
    let draft = Draft { to, text: "hello".to_owned(), expires_at: None };
    let message = messages::accept(store.of(tenant), account, vec![draft]).await?;
    Ok(message[0].id)
}

async fn link(db: &PgPool, account: AccountId, number: &str) {
    let store = Store::from(db.clone());
    let who =
        LinkedAs { number: number.to_owned(), jid: format!("{number}:1@s.whatsapp.net"), lid: None, push_name: None };
    pairing::linked(store.under(fence(db, account).await), &who).await.unwrap();
}

async fn log_out(db: &PgPool, account: AccountId) {
    let store = Store::from(db.clone());
    let fence = fence(db, account).await;
    let change = StatusChange { status: Status::LoggedOut, reason: None, banned_for_s: None };
    session::write_status(store.under(fence), change).await.unwrap();
}

/// The state of a message, its reason, and the kinds of its events.
async fn told(db: &PgPool, message: MessageId) -> (String, Option<String>, Vec<String>) {
    let (state, reason) =
        sqlx::query_as("SELECT state, reason FROM messages WHERE id = $1").bind(message).fetch_one(db).await.unwrap();
    let kinds = sqlx::query_scalar("SELECT kind FROM events WHERE data ->> 'message_id' = $1 ORDER BY id");
    (state, reason, kinds.bind(message.to_string()).fetch_all(db).await.unwrap())
}

/// R73: an unpair ends queued messages and unfinished runs, with a reason. None of them waits for the next phone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_unpair_ends_what_was_queued(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let single = queue(&db, of).await.unwrap();
    let (_, run) = under_way(&db, of, 2).await;
    accounts::unpair(store.of(of.0), of.1, Operator::System("test")).await.unwrap().quietly();
    let reason = Some("the account was unpaired".to_owned());
    assert_eq!(told(&db, single).await, ("canceled".to_owned(), reason, vec!["message.canceled".to_owned()]));
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'queued'").await, 0);
    let (status, summary): (String, String) =
        sqlx::query_as("SELECT status, summary FROM runs WHERE id = $1").bind(run).fetch_one(&db).await.unwrap();
    assert_eq!((&*status, &*summary), ("canceled", "0 of 2 sent, 2 skipped: the account was unpaired"));
    assert_eq!(count(&db, "SELECT count(*) FROM run_targets WHERE state = 'skipped'").await, 2);
    assert!(matches!(queue(&db, of).await, Err(Error::Conflict(Conflict::NotConnected { .. }))));
}

/// R73: a delete ends queued messages at once, even if the device must still be logged out.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delete_ends_what_was_queued(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    sqlx::query("INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ($1, 1, 'device', 'k', 'x')")
        .bind(of.1)
        .execute(&db)
        .await
        .unwrap();
    let single = queue(&db, of).await.unwrap();
    accounts::delete(store.of(of.0), of.1, Operator::System("test")).await.unwrap().quietly();
    let (state, reason, kinds) = told(&db, single).await;
    assert_eq!((&*state, reason.as_deref(), kinds.len()), ("canceled", Some("the account was deleted"), 1));
}

/// R73: messages that were queued when the phone logged the device out wait for this phone. They are sent when the same
/// phone is linked again, and end when another one is. For a run this holds until the duty ends it, about a minute.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_logout_keeps_the_queue_for_the_same_phone(db: PgPool) {
    let store = Store::from(db.clone());
    for (number, goes_on) in [(PHONE, true), (OTHER, false)] {
        let of = account(&db, "connected").await;
        sqlx::query("UPDATE accounts SET linked_at = now()").execute(&db).await.unwrap();
        let single = queue(&db, of).await.unwrap();
        let (_, run) = under_way(&db, of, 1).await;
        log_out(&db, of.1).await;
        assert_eq!(told(&db, single).await.0, "queued");
        assert!(
            outbox::waiting(store.under(fence(&db, of.1).await), 10).await.unwrap().is_empty(),
            "no phone, nothing to send"
        );
        assert!(
            matches!(queue(&db, of).await, Err(Error::Conflict(Conflict::NotConnected { .. }))),
            "nobody may queue more"
        );
        accounts::pair(store.of(of.0), of.1, (Method::Qr, None), Operator::System("test")).await.unwrap().quietly();
        let meanwhile = queue(&db, of).await.unwrap();
        link(&db, of.1, number).await;

        let waiting: Vec<_> =
            outbox::waiting(store.under(fence(&db, of.1).await), 10).await.unwrap().iter().map(|row| row.id).collect();
        let (state, reason, kinds) = told(&db, single).await;
        let status: String =
            sqlx::query_scalar("SELECT status FROM runs WHERE id = $1").bind(run).fetch_one(&db).await.unwrap();
        if goes_on {
            assert_eq!((&*state, reason, kinds.len()), ("queued", None, 0));
            assert_eq!((waiting.len(), &*status), (4, "running"), "the single ones, and two texts of the run");
        } else {
            let why = Some("the account was paired with another phone");
            assert_eq!((&*state, reason.as_deref(), &*kinds), ("canceled", why, &["message.canceled".to_owned()][..]));
            assert_eq!((waiting, &*status), (vec![meanwhile], "canceled"), "this was meant for whatever phone comes");
        }
        accounts::unpair(store.of(of.0), of.1, Operator::System("test")).await.unwrap().quietly(); // releases the number
    }
}

/// R73: an account takes messages only after a phone was linked to it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_is_queued_before_the_first_phone(db: PgPool) {
    let of = account(&db, "pending").await;
    let first = Conflict::NotConnected { first_pairing: true };
    assert!(matches!(queue(&db, of).await, Err(Error::Conflict(why)) if why == first));
    link(&db, of.1, PHONE).await;
    queue(&db, of).await.unwrap();
}

/// R73: a reminder that is paused because of its run goes on when an unpair or another phone ends that run.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_reminder_does_not_rest_for_a_run_that_is_gone(db: PgPool) {
    let store = Store::from(db.clone());
    for unpairs in [true, false] {
        let of = account(&db, "connected").await;
        let (reminder, run) = under_way(&db, of, 1).await;
        // its delivery window closed
        for sql in [
            "UPDATE messages SET state = 'expired', failed_at = now() WHERE run_id = $1",
            "UPDATE runs SET status = 'paused' WHERE id = $1",
            "UPDATE reminders SET status = 'paused', next_fire_at = NULL WHERE id = (SELECT reminder_id FROM runs WHERE id = $1)",
        ] {
            sqlx::query(sql).bind(run).execute(&db).await.unwrap();
        }
        let status = async || {
            let status = sqlx::query_scalar::<_, String>("SELECT status FROM reminders WHERE id = $1");
            status.bind(reminder).fetch_one(&db).await.unwrap()
        };
        assert_eq!(status().await, "paused");
        if unpairs {
            accounts::unpair(store.of(of.0), of.1, Operator::System("test")).await.unwrap().quietly();
        } else {
            log_out(&db, of.1).await;
            accounts::pair(store.of(of.0), of.1, (Method::Qr, None), Operator::System("test")).await.unwrap().quietly();
            link(&db, of.1, OTHER).await;
        }
        assert_eq!(status().await, "active", "unpairs: {unpairs}");
    }
}

/// R73, R29: linking a phone that another account has ends nothing: the account still waits for its own phone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_duplicate_ends_nothing(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let single = queue(&db, of).await.unwrap();
    log_out(&db, of.1).await;
    let other = rows::Account { label: "Back office", number: Some(OTHER), ..rows::Account::of("connected") };
    other.insert(&db, of.0).await;
    accounts::pair(store.of(of.0), of.1, (Method::Qr, None), Operator::System("test")).await.unwrap().quietly();
    link(&db, of.1, OTHER).await;
    assert_eq!(accounts::get(store.of(of.0), of.1).await.unwrap().status, Status::Unpaired);
    assert_eq!(told(&db, single).await.0, "queued");
}

/// R73: a message that is sent during an unpair is either ended by it or refused.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_send_beside_an_unpair_is_refused(db: PgPool) {
    let of = account(&db, "connected").await;
    let mut holding = db.begin().await.unwrap();
    let unpair = "UPDATE accounts SET status = 'unpaired', wanted = 'offline', phone_number = NULL WHERE id = $1";
    sqlx::query(unpair).bind(of.1).execute(&mut *holding).await.unwrap();
    let sending = tokio::spawn({
        let db = db.clone();
        async move { queue(&db, of).await }
    });
    waiting(&db, 1).await;
    holding.commit().await.unwrap();
    assert!(matches!(sending.await.unwrap(), Err(Error::Conflict(Conflict::NotConnected { .. }))));
    assert_eq!(count(&db, "SELECT count(*) FROM messages").await, 0);
}

/// R73: if there is too much for one request, the duty calls back the rest with the same reason. Messages that may
/// still be sent are left alone.
#[sqlx::test(migrator = "MIGRATOR")]
async fn the_duty_calls_back_what_is_left(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    for _ in 0..3 {
        queue(&db, of).await.unwrap();
    }
    assert!(
        unsent::call_back_left(store.for_all_tenants(), 100).await.unwrap().quietly().is_empty(),
        "its phone is there"
    );
    sqlx::query("UPDATE messages SET sender = $1 WHERE seq = (SELECT min(seq) FROM messages)")
        .bind(OTHER)
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(unsent::call_back_left(store.for_all_tenants(), 100).await.unwrap().quietly(), [of.0]);
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'queued'").await, 2);
    log_out(&db, of.1).await;
    assert!(
        unsent::call_back_left(store.for_all_tenants(), 100).await.unwrap().quietly().is_empty(),
        "its phone may come back"
    );
    sqlx::query("UPDATE accounts SET status = 'unpaired'").execute(&db).await.unwrap();
    assert_eq!(unsent::call_back_left(store.for_all_tenants(), 1).await.unwrap().quietly(), [of.0]);
    assert_eq!(unsent::call_back_left(store.for_all_tenants(), 1).await.unwrap().quietly(), [of.0]);
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT reason FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    let unpaired = "the account was unpaired";
    assert_eq!(reasons, ["the account was paired with another phone", unpaired, unpaired]);
    assert_eq!(count(&db, "SELECT count(*) FROM events WHERE kind = 'message.canceled'").await, 3);
}

/// R71: a receipt for a text that was given up updates its run, even while the run is in progress.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receipt_reaches_its_run(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (_, run) = under_way(&db, of, 2).await;
    let fence = fence(&db, of.1).await;
    // the first target's texts are given up, the second target's texts wait
    sqlx::query("UPDATE messages SET state = 'failed', reason = 'given up', failed_at = now() WHERE run_position = 0")
        .execute(&db)
        .await
        .unwrap();
    store::runs::settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    let states = async || {
        let states = "SELECT state FROM run_targets ORDER BY position";
        sqlx::query_scalar::<_, String>(states).fetch_all(&db).await.unwrap()
    };
    assert_eq!(states().await, ["failed", "pending"]);
    let receipts = async |position: i32, read| -> Vec<Receipt> {
        let ids = sqlx::query_scalar("SELECT whatsapp_id FROM messages WHERE run_position = $1").bind(position);
        let ids: Vec<String> = ids.fetch_all(&db).await.unwrap();
        ids.into_iter().map(|whatsapp_id| Receipt { whatsapp_id, read, at: chrono::Utc::now() }).collect()
    };
    assert_eq!(outbox::receipts(store.under(fence), receipts(0, true).await).await.unwrap(), [run]);
    assert_eq!(states().await, ["sent", "pending"]);
    let touched = outbox::receipts(store.under(fence), receipts(1, false).await).await.unwrap();
    store::runs::settle_runs(store.for_all_tenants(), &touched).await.unwrap().quietly();
    let status: String =
        sqlx::query_scalar("SELECT status FROM runs WHERE id = $1").bind(run).fetch_one(&db).await.unwrap();
    assert_eq!((&*status, states().await.as_slice()), ("success", &["sent".to_owned(), "sent".to_owned()][..]));
}
