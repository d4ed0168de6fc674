//! What a session writes if the database is slow or does not answer.

use std::time::Duration;

use chrono::Utc;
use domain::account::Status;
use domain::id::MessageId;
use kit::rows;
use sqlx::PgPool;
use store::inbound::{self, Inbound};
use store::outbox::{self, Receipt};
use store::pairing;
use store::session::{self, StatusChange};
use store::{MIGRATOR, Store};

/// R28: a second ban of the same kind is written like the first one. The next owner of the account waits for its end.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_longer_ban_is_written(pool: PgPool) {
    let store = Store::from(pool.clone());
    let fence = rows::claimed(&pool).await;
    let reason = Some("WhatsApp has banned it for a while".to_owned());
    for seconds in [1.0, 3_600.0] {
        let ban = StatusChange { status: Status::Banned, reason: reason.clone(), banned_for_s: Some(seconds) };
        session::write_status(store.under(fence), ban).await.unwrap();
    }
    assert!(session::load(store.under(fence)).await.unwrap().banned_left_s > 3_500.0);
    let told = "SELECT count(*) FROM events WHERE kind = 'account.status_changed'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&pool).await.unwrap(), 1, "the status changed once");
}

/// R35: a received message whose commit takes longer than the session waits is stored once, although it is written
/// again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_received_message_is_stored_once_by_two_calls(pool: PgPool) {
    let store = Store::from(pool.clone());
    let fence = rows::claimed(&pool).await;
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION slow()",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let message = Inbound {
        chat: "15559999@s.whatsapp.net".into(),
        sender: "15559999@s.whatsapp.net".into(),
        sender_name: None,
        sender_number: Some("15559999".into()),
        sender_lid: None,
        whatsapp_id: "ID".into(),
        text: Some("hello".into()),
        kind: "text".into(),
        at: Utc::now(),
        from_me: false,
    };
    let first = inbound::received(store.under(fence), std::slice::from_ref(&message));
    assert!(tokio::time::timeout(Duration::from_millis(500), first).await.is_err(), "its commit takes two seconds");
    inbound::received(store.under(fence), &[message]).await.unwrap();
    let stored = "SELECT count(*) FROM events WHERE kind = 'message.received'";
    assert_eq!(sqlx::query_scalar::<_, i64>(stored).fetch_one(&pool).await.unwrap(), 1);
}

/// R36: a message is blamed once, even if the answer to the first call was lost.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_message_is_blamed_once(pool: PgPool) {
    let store = Store::from(pool.clone());
    let (fence, message) = (rows::claimed(&pool).await, MessageId::new());
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
         SELECT $1, tenant_id, id, '15559999@s.whatsapp.net', 'hello', 'ID' FROM accounts",
    )
    .bind(message.0)
    .execute(&pool)
    .await
    .unwrap();
    let before = outbox::blamed(store.under(fence), message).await.unwrap();
    assert_eq!(before, 0);
    for _ in 0..2 {
        assert_eq!(outbox::blame(store.under(fence), message, before).await.unwrap(), 1);
    }
    assert_eq!(outbox::blame(store.under(fence), message, 1).await.unwrap(), 2);
}

/// R71, R72: a receipt moves a message on from every state, through each state in between, with one event for each. No
/// time runs backwards, even if the phone's clock does. A message that had failed has no reason for that any more.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_receipt_leads_on_from_every_state(pool: PgPool) {
    let store = Store::from(pool.clone());
    let fence = rows::claimed(&pool).await;
    let ends = "'expired', 'canceled', 'failed'";
    for (state, read, told) in [
        ("queued", false, "sent delivered"),
        ("queued", true, "sent delivered read"),
        ("expired", true, "sent delivered read"),
        ("canceled", false, "sent delivered"),
        ("failed", true, "sent delivered read"),
        ("sent", false, "delivered"),
        ("sent", true, "delivered read"),
        ("delivered", true, "read"),
        ("delivered", false, ""),
        ("read", true, ""),
        ("read", false, ""),
    ] {
        let message = MessageId::new();
        let insert = format!(
            "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, state, reason, attempts, sent_at, delivered_at,
                read_at, failed_at)
             SELECT $1, tenant_id, id, '15559999@s.whatsapp.net', 'hello', $1::text, s, CASE WHEN s IN ({ends}) THEN 'why' END,
                CASE WHEN s IN ('sent', 'delivered', 'read') THEN 1 ELSE 0 END,
                CASE WHEN s IN ('sent', 'delivered', 'read') THEN now() END, CASE WHEN s IN ('delivered', 'read') THEN now() END,
                CASE WHEN s = 'read' THEN now() END, CASE WHEN s IN ({ends}) THEN now() END
             FROM accounts, (VALUES ($2)) AS v(s)"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert)).bind(message.0).bind(state).execute(&pool).await.unwrap();
        let at = Utc::now() - Duration::from_secs(3);
        let one = |read| Receipt { whatsapp_id: message.to_string(), read, at };
        let batch = if read { vec![one(false), one(true)] } else { vec![one(false)] };
        assert!(outbox::receipts(store.under(fence), batch.clone()).await.unwrap().is_empty(), "it is of no run");
        outbox::receipts(store.under(fence), batch.clone()).await.unwrap();

        let what = format!("{state}, read: {read}");
        let kinds = "SELECT coalesce(string_agg(substr(kind, 9), ' ' ORDER BY id), '') FROM events WHERE data ->> 'message_id' = $1";
        let kinds: String = sqlx::query_scalar(kinds).bind(message.to_string()).fetch_one(&pool).await.unwrap();
        assert_eq!(kinds, told, "{what}");
        let good = "SELECT created_at <= sent_at AND sent_at <= delivered_at AND (read_at IS NULL OR delivered_at <= read_at)
                        AND attempts = 1 AND reason IS NULL AND failed_at IS NULL
                        AND state = CASE WHEN $2 OR $3 = 'read' THEN 'read' ELSE 'delivered' END FROM messages WHERE id = $1";
        let good = sqlx::query_scalar::<_, bool>(good).bind(message.0).bind(read).bind(state);
        assert!(good.fetch_one(&pool).await.unwrap(), "{what}");
    }
}

/// R25: an equal code causes one event, although it is written again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_equal_code_is_told_once(pool: PgPool) {
    let store = Store::from(pool.clone());
    let fence = rows::claimed(&pool).await;
    sqlx::query(
        "WITH a AS (UPDATE accounts SET status = 'pending', wanted = 'online' RETURNING id)
         INSERT INTO pairings (account_id, method, window_ends_at) SELECT id, 'qr', now() FROM a",
    )
    .execute(&pool)
    .await
    .unwrap();
    for code in ["2@a", "2@a", "2@b"] {
        pairing::show_qr(store.under(fence), code, 1, 60.0).await.unwrap();
        pairing::show_code(store.under(fence), code).await.unwrap();
    }
    for kind in ["session.qr", "session.pairing_code"] {
        let told = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events WHERE kind = $1").bind(kind);
        assert_eq!(told.fetch_one(&pool).await.unwrap(), 2, "{kind}");
    }
}
