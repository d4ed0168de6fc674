//! What a session writes, when the database takes its time or says nothing.

use std::time::Duration;

use chrono::Utc;
use common::account::Status;
use common::id::MessageId;
use common::store::MIGRATOR;
use common::store::outbox::{self, Inbound};
use common::store::pairing;
use common::store::session::{self, StatusChange};
use sqlx::PgPool;

use crate::credentials::account;

/// R28: a second ban of the same kind is written like the first: whoever owns the account next waits for its end.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_longer_ban_is_written(pool: PgPool) {
    let fence = account(&pool).await;
    let reason = Some("WhatsApp has banned it for a while".to_owned());
    for seconds in [1.0, 3_600.0] {
        let ban = StatusChange { fence, status: Status::Banned, reason: reason.clone(), banned_for_s: Some(seconds) };
        assert!(session::write_statuses(&pool, &[ban]).await.unwrap().is_empty());
    }
    assert!(session::load(&pool, fence).await.unwrap().banned_left_s > 3_500.0);
    let told = "SELECT count(*) FROM events WHERE kind = 'account.status_changed'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&pool).await.unwrap(), 1, "the status changed once");
}

/// R35: a received message whose commit takes longer than anybody waits is stored once, though it is written again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_received_message_is_stored_once_by_two_calls(pool: PgPool) {
    let fence = account(&pool).await;
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
        whatsapp_id: "ID".into(),
        text: Some("hello".into()),
        kind: "text".into(),
        at: Utc::now(),
        from_me: false,
    };
    let first = outbox::received(&pool, fence, std::slice::from_ref(&message));
    assert!(tokio::time::timeout(Duration::from_millis(500), first).await.is_err(), "its commit takes two seconds");
    outbox::received(&pool, fence, &[message]).await.unwrap();
    let stored = "SELECT count(*) FROM events WHERE kind = 'message.received'";
    assert_eq!(sqlx::query_scalar::<_, i64>(stored).fetch_one(&pool).await.unwrap(), 1);
}

/// R36: a try that is counted again, because nobody heard that it was, is one try.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_try_is_counted_once(pool: PgPool) {
    let (fence, message) = (account(&pool).await, MessageId::new());
    sqlx::query(
        "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id)
         SELECT $1, tenant_id, id, '15559999@s.whatsapp.net', 'hello', 'ID' FROM accounts",
    )
    .bind(message.0)
    .execute(&pool)
    .await
    .unwrap();
    let before = outbox::tries(&pool, fence.account, message).await.unwrap();
    assert_eq!(before, 0);
    for _ in 0..2 {
        assert_eq!(outbox::count_try(&pool, fence, message, before).await.unwrap(), 1);
    }
    assert_eq!(outbox::count_try(&pool, fence, message, 1).await.unwrap(), 2);
}

/// R25: an equal code is told once, though it is written again.
#[sqlx::test(migrator = "MIGRATOR")]
async fn an_equal_code_is_told_once(pool: PgPool) {
    let fence = account(&pool).await;
    sqlx::query(
        "UPDATE accounts SET status = 'pending', wanted = 'online', pairing_method = 'qr', pairing_expires_at = now()",
    )
    .execute(&pool)
    .await
    .unwrap();
    for code in ["2@a", "2@a", "2@b"] {
        pairing::show_qr(&pool, fence, code, 1, 60.0).await.unwrap();
        pairing::show_code(&pool, fence, code).await.unwrap();
    }
    for kind in ["session.qr", "session.pairing_code"] {
        let told = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM events WHERE kind = $1").bind(kind);
        assert_eq!(told.fetch_one(&pool).await.unwrap(), 2, "{kind}");
    }
}
