//! The schema of the previous release, with rows of all kinds, is migrated to this one, and everything goes on.

use std::time::Duration;

use domain::account::{Method, Status, Step};
use domain::id::{AccountId, TenantId, WebhookId, WorkerId};
use domain::jid::Jid;
use sqlx::PgPool;
use store::accounts::{self, Pairing};
use store::audit::Operator;
use store::messages::{self, Draft};
use store::pairing::{self, LinkedAs};
use store::runs::{fire_due, settle_runs};
use store::webhooks::follow;
use store::{Fence, MIGRATOR, Store, outbox, session};
use uuid::Uuid;

use crate::due::count;

/// The newest migration of the previous release.
const BEFORE: i64 = 20_261_128_700_001;
const TENANT: Uuid = Uuid::from_u128(1);
const WORKER: Uuid = Uuid::from_u128(2);
const WEBHOOK: Uuid = Uuid::from_u128(3);

const LINKED: u128 = 10;
const BY_QR: u128 = 11;
const BY_CODE: u128 = 12;
const GATED: u128 = 13;
const ABANDONED: u128 = 14;
const UNPAIRED: u128 = 15;
const LOGGED_OUT: u128 = 16;
const TO_BE_LINKED: u128 = 17;

/// Rows as the previous release wrote them: accounts in every state of a pairing, messages in every state, a reminder
/// that is due, a run in progress, a webhook with an event after its cursor.
const ROWS: &str = "
    INSERT INTO tenants (id, name) VALUES (id(1), 'Acme');
    INSERT INTO workers (id, name, version, capacity, lease_s) VALUES (id(2), 'w', '1', 10, 3600);
    INSERT INTO webhooks (id, tenant_id, url, secret, cursor_txid, cursor_id) VALUES (id(3), id(1), 'https://example.org', 's', 7, 70);
    INSERT INTO events (tenant_id, kind, data) VALUES (id(1), 'account.deleted', '{}');

    INSERT INTO accounts (id, tenant_id, label, status, wanted, phone_number, jid, linked_at)
        VALUES (id(10), id(1), 'linked', 'connected', 'online', '49170000010', '49170000010:1@s.whatsapp.net', now());
    INSERT INTO accounts (id, tenant_id, label, status, wanted, generation, pairing_method, pairing_expires_at, qr_text, qr_number,
            qr_expires_at)
        SELECT id(n), id(1), 'by QR', 'pending', 'online', 1, 'qr', now() + interval '4 minutes', '2@a,b', 3, now() + interval '1 minute'
        FROM unnest(ARRAY[11, 13, 17]) AS n;
    INSERT INTO accounts (id, tenant_id, label, status, wanted, generation, pairing_method, pairing_phone, pairing_expires_at, pairing_code)
        VALUES (id(12), id(1), 'by code', 'pending', 'online', 1, 'code', '49170000012', now() + interval '4 minutes', 'ABCD1234');
    INSERT INTO accounts (id, tenant_id, label, status, wanted, generation, pairing_method, pairing_expires_at)
        VALUES (id(14), id(1), 'abandoned', 'pending', 'online', 1, 'qr', now() - interval '2 hours');
    INSERT INTO accounts (id, tenant_id, label, status, wanted) VALUES
        (id(15), id(1), 'unpaired', 'unpaired', 'offline'), (id(16), id(1), 'logged out', 'logged_out', 'offline');
    INSERT INTO leases (account_id, epoch, owner) SELECT id, 5, CASE WHEN label <> 'abandoned' THEN id(2) END FROM accounts;
    INSERT INTO passkeys (account_id, epoch, advice, options) VALUES
        (id(13), 5, 'touch the key', '{\"challenge\": \"x\"}'), (id(15), 4, 'of a pairing that is over', '{}');

    INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, next_fire_at)
        SELECT id(30), id(1), id(10), 'Stand-up', 'UTC', at AT TIME ZONE 'UTC', 'FREQ=DAILY', at
        FROM date_trunc('second', now() - interval '2 seconds') AS at;
    INSERT INTO reminder_messages (tenant_id, reminder_id, position, body) VALUES (id(1), id(30), 0, 'hello');
    INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat) VALUES (id(1), id(30), 0, '120363000000000@g.us');
    INSERT INTO runs (id, tenant_id, account_id, reminder_name, account_label, version, fire_at, bodies, status)
        VALUES (id(31), id(1), id(10), 'Review', 'linked', 1, now(), '{hello}', 'running');
    INSERT INTO run_targets (tenant_id, run_id, position, chat) VALUES (id(1), id(31), 0, '120363000000000@g.us');
    INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, state, sender, run_id, run_position, sent_at, failed_at)
        SELECT id(40 + n), id(1), id(10), '120363000000000@g.us', 'hello', n::text, state, '49170000010',
               CASE WHEN state = 'sent' THEN id(31) END, CASE WHEN state = 'sent' THEN 0 END,
               CASE WHEN state IN ('sent', 'delivered', 'read') THEN now() END,
               CASE WHEN state IN ('failed', 'canceled', 'expired') THEN now() END
        FROM unnest(ARRAY['queued', 'sent', 'delivered', 'read', 'failed', 'canceled', 'expired']) WITH ORDINALITY AS s(state, n)";

fn account(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

fn fence(number: u128) -> Fence {
    Fence { account: account(number), epoch: 5 }
}

async fn shown(db: &PgPool, number: u128) -> Pairing {
    let store = Store::from(db.clone());
    accounts::pairing(store.of(TenantId(TENANT)), account(number)).await.unwrap()
}

async fn upgraded(db: &PgPool) {
    MIGRATOR.run_to(BEFORE, db).await.unwrap();
    let id = "CREATE FUNCTION id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN lpad(to_hex(n), 32, '0')::uuid";
    sqlx::raw_sql(id).execute(db).await.unwrap();
    sqlx::raw_sql(ROWS).execute(db).await.unwrap();
    MIGRATOR.run(db).await.unwrap();
}

/// R109: pairings that were under way exist after the migration, with their codes, and each ends as it would have ended
/// before.
#[sqlx::test(migrations = false)]
async fn pairings_go_on_after_an_upgrade(db: PgPool) {
    let store = Store::from(db.clone());
    upgraded(&db).await;
    assert_eq!(count(&db, "SELECT count(*) FROM pairings").await, 5);
    assert_eq!(count(&db, "SELECT count(*) FROM passkeys").await, 1, "that of a pairing which is over is gone");

    let by_qr = shown(&db, BY_QR).await;
    assert_eq!((by_qr.status, by_qr.method, by_qr.step), (Status::Pending, Some(Method::Qr), Some(Step::Qr)));
    assert_eq!((by_qr.qr_text.as_deref(), by_qr.qr_number), (Some("2@a,b"), Some(3)));
    assert!(by_qr.qr_expires_at.is_some() && by_qr.window_ends_at > by_qr.qr_expires_at);
    let by_code = shown(&db, BY_CODE).await;
    assert_eq!((by_code.step, by_code.code.as_deref()), (Some(Step::Code), Some("ABCD1234")));
    let gated = shown(&db, GATED).await;
    assert_eq!((gated.step, gated.advice.as_deref()), (Some(Step::Passkey), Some("touch the key")));
    assert_eq!(gated.passkey_options.unwrap()["challenge"], "x");
    let unpaired = shown(&db, UNPAIRED).await;
    assert!(unpaired.method.is_none() && unpaired.step.is_none() && unpaired.window_ends_at.is_none());

    // a session continues with the pairing's window, codes and end
    let row = session::load(store.under(fence(BY_CODE))).await.unwrap();
    assert_eq!((row.pairing_method, row.pairing_phone.as_deref()), (Some(Method::Code), Some("49170000012")));
    assert!(row.code_shown && (200.0..=240.0).contains(&row.window_left_s), "{}", row.window_left_s);
    pairing::show_qr(store.under(fence(BY_QR)), "2@c,d", 4, 20.0).await.unwrap();
    assert_eq!(shown(&db, BY_QR).await.qr_number, Some(4));
    pairing::give_up(store.under(fence(BY_QR)), "its time is over").await.unwrap();
    let who = LinkedAs {
        number: "49170000017".to_owned(),
        jid: "49170000017:1@s.whatsapp.net".to_owned(),
        lid: None,
        push_name: None,
    };
    pairing::linked(store.under(fence(TO_BE_LINKED)), &who).await.unwrap();
    let (tenant, by) = (TenantId(TENANT), Operator::System("test"));
    accounts::park_stale_pairings(store.for_all_tenants(), Duration::from_secs(3_600), 10).await.unwrap().quietly();
    accounts::unpair(store.of(tenant), account(GATED), by).await.unwrap().quietly();
    accounts::pair(store.of(tenant), account(LOGGED_OUT), (Method::Qr, None), by).await.unwrap().quietly();
    for (number, status) in [
        (BY_QR, Status::Unpaired),
        (TO_BE_LINKED, Status::Connected),
        (ABANDONED, Status::Unpaired),
        (GATED, Status::Unpaired),
        (BY_CODE, Status::Pending),
        (LOGGED_OUT, Status::Pending),
    ] {
        let pairing = shown(&db, number).await;
        assert_eq!((pairing.status, pairing.method.is_some()), (status, status == Status::Pending), "{number}");
    }
    assert_eq!(count(&db, "SELECT count(*) FROM pairings").await, 2);
    assert_eq!(count(&db, "SELECT count(*) FROM passkeys").await, 0);
}

/// R109: messages, reminders, runs and webhooks are unchanged, and go on.
#[sqlx::test(migrations = false)]
async fn everything_else_goes_on_after_an_upgrade(db: PgPool) {
    let store = Store::from(db.clone());
    upgraded(&db).await;
    let tenant = TenantId(TENANT);
    assert_eq!(count(&db, "SELECT count(DISTINCT state) FROM messages").await, 7);
    let waiting = outbox::waiting(store.under(fence(LINKED)), 10).await.unwrap();
    assert_eq!(waiting.iter().map(|row| row.id.0).collect::<Vec<_>>(), [Uuid::from_u128(41)]);
    let to: Jid = "4917012345678".parse().unwrap();
    let draft = Draft { to, text: "hello".to_owned(), expires_at: None };
    messages::accept(store.of(tenant), account(LINKED), vec![draft]).await.unwrap().quietly();
    assert_eq!(outbox::waiting(store.under(fence(LINKED)), 10).await.unwrap().len(), 2);

    assert_eq!(fire_due(store.for_all_tenants(), 10).await.unwrap().quietly().fired.len(), 1);
    settle_runs(store.for_all_tenants(), &[Uuid::from_u128(31).into()]).await.unwrap().quietly();
    assert_eq!(count(&db, "SELECT count(*) FROM runs WHERE status = 'success'").await, 1);

    let worker = WorkerId(WORKER);
    let claimed = follow::claim(store.for_all_tenants(), worker, 10).await.unwrap();
    assert_eq!(claimed, [(tenant, WebhookId(WEBHOOK))]);
    let held = follow::held(store.of(tenant), WebhookId(WEBHOOK), worker, 10).await.unwrap().unwrap();
    assert_eq!((held.cursor.txid, held.cursor.id), (7, 70));

    let unpaired = accounts::unpair(store.of(tenant), account(LINKED), Operator::System("test")).await.unwrap();
    assert!(unpaired.quietly().listed);
    assert_eq!(count(&db, "SELECT count(*) FROM messages WHERE state = 'queued'").await, 0);
}
