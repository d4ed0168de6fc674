//! The pairing of an account. The previous release stores it in columns of `accounts`, this one in `pairings`. While
//! both run, columns and table agree.

use domain::account::{Method, Status};
use domain::id::{AccountId, TenantId};
use sqlx::PgPool;
use store::audit::Operator;
use store::pairing::{self, LinkedAs};
use store::session::{self, StatusChange};
use store::{Fence, MIGRATOR, Store, accounts, passkeys};

use crate::due::{account, count};

/// Accounts whose columns differ from the table, and pairings of accounts that are not `pending`.
const APART: &str = "
    SELECT count(*) FROM accounts a FULL JOIN pairings p ON p.account_id = a.id
    WHERE (a.pairing_method, a.pairing_phone, a.pairing_expires_at, a.qr_text, a.qr_number, a.qr_expires_at, a.pairing_code)
        IS DISTINCT FROM (p.method, p.phone, p.window_ends_at, p.qr_text, p.qr_number, p.qr_expires_at, p.code)
       OR (a.status = 'pending') <> (p.account_id IS NOT NULL)";

/// What the previous release writes at each step of a pairing, and how many pairings with which code there are
/// afterwards.
const STEPS_BEFORE: [(&str, &str); 10] = [
    (
        "UPDATE accounts SET status = 'pending', status_reason = NULL, wanted = 'online', generation = generation + 1,
            pairing_method = 'qr', pairing_phone = NULL, pairing_expires_at = now() + make_interval(secs => 300),
            qr_text = NULL, qr_number = NULL, qr_expires_at = NULL, pairing_code = NULL,
            phone_number = NULL, jid = NULL, lid = NULL, push_name = NULL, banned_until = NULL, updated_at = now()",
        "qr",
    ),
    (
        "UPDATE accounts SET qr_text = '2@a', qr_number = 1, qr_expires_at = now() + make_interval(secs => 60), updated_at = now()
         WHERE status = 'pending'",
        "qr 2@a 1",
    ),
    (
        "UPDATE accounts SET qr_text = '2@b', qr_number = 2, qr_expires_at = now() + make_interval(secs => 20), updated_at = now()
         WHERE status = 'pending'",
        "qr 2@b 2",
    ),
    (
        "UPDATE accounts SET jid = '4917:1@s.whatsapp.net', qr_text = NULL, qr_number = NULL, qr_expires_at = NULL, pairing_code = NULL,
            updated_at = now() WHERE status = 'pending'",
        "qr",
    ),
    (
        "UPDATE accounts SET status = 'connected', status_reason = NULL, phone_number = '4917000001', jid = '4917:1@s.whatsapp.net',
            linked_at = now(), connected_at = now(), disconnected_at = NULL, pairing_method = NULL, pairing_phone = NULL,
            pairing_expires_at = NULL, qr_text = NULL, qr_number = NULL, qr_expires_at = NULL, pairing_code = NULL",
        "",
    ),
    ("UPDATE accounts SET status = 'disconnected', status_reason = 'no route'", ""),
    (
        "UPDATE accounts SET status = 'pending', wanted = 'online', generation = generation + 1, pairing_method = 'code',
            pairing_phone = '4917000001', pairing_expires_at = now() + make_interval(secs => 300), qr_text = NULL, qr_number = NULL,
            qr_expires_at = NULL, pairing_code = NULL, phone_number = NULL, jid = NULL",
        "code",
    ),
    ("UPDATE accounts SET pairing_code = 'ABCD1234', updated_at = now() WHERE status = 'pending'", "code ABCD1234"),
    (
        "UPDATE accounts SET status = 'unpaired', status_reason = 'its time is over', wanted = 'offline', pairing_method = NULL,
            pairing_phone = NULL, pairing_expires_at = NULL, qr_text = NULL, qr_number = NULL, qr_expires_at = NULL,
            pairing_code = NULL, updated_at = now() WHERE status = 'pending'",
        "",
    ),
    ("UPDATE accounts SET label = 'Back office'", ""),
];

/// The pairings, by method and code.
async fn under_way(db: &PgPool) -> String {
    let shown = "SELECT coalesce(string_agg(concat_ws(' ', method, qr_text, qr_number, code), ','), '') FROM pairings";
    sqlx::query_scalar(shown).fetch_one(db).await.unwrap()
}

async fn fence(db: &PgPool, account: AccountId) -> Fence {
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases WHERE account_id = $1");
    Fence { account, epoch: epoch.bind(account).fetch_one(db).await.unwrap() }
}

async fn pair(db: &PgPool, of: (TenantId, AccountId), method: Method, phone: Option<&str>) -> Fence {
    let store = Store::from(db.clone());
    accounts::pair(store.of(of.0), of.1, (method, phone), Operator::System("test")).await.unwrap().quietly();
    fence(db, of.1).await
}

/// R109: each step that the previous release writes to its columns appears in the table.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_release_before_writes_is_seen(db: PgPool) {
    account(&db, "unpaired").await;
    for (step, seen) in STEPS_BEFORE {
        sqlx::query(step).execute(&db).await.unwrap();
        assert_eq!(under_way(&db).await, seen, "{step}");
        assert_eq!(count(&db, APART).await, 0, "{step}");
    }
}

/// R109: an account says when the phone that it has was linked, also if it had another one before.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_link_has_a_time_of_its_own(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "unpaired").await;
    sqlx::query("UPDATE accounts SET linked_at = now() - interval '1 day'").execute(&db).await.unwrap();
    let fence = pair(&db, of, Method::Qr, None).await;
    // the first login may meet a temporary ban, which is over when a later one succeeds
    sqlx::query("UPDATE accounts SET status = 'banned', banned_until = now() + interval '1 hour'")
        .execute(&db)
        .await
        .unwrap();
    let (number, jid) = ("4917000001".to_owned(), "4917000001:1@s.whatsapp.net".to_owned());
    pairing::linked(store.under(fence), &LinkedAs { number, jid, lid: None, push_name: None }).await.unwrap();
    let seen = "SELECT count(*) FROM accounts WHERE linked_at > now() - interval '1 minute' AND banned_until IS NULL";
    assert_eq!(count(&db, seen).await, 1);
}

/// R109: each step that this release writes to the table appears in the columns that the previous release reads.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_this_release_writes_is_seen(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "unpaired").await;
    let apart = async |seen: &str| {
        assert_eq!(under_way(&db).await, seen);
        assert_eq!(count(&db, APART).await, 0, "{seen}");
    };
    let who = LinkedAs {
        number: "4917000001".to_owned(),
        jid: "4917000001:1@s.whatsapp.net".to_owned(),
        lid: None,
        push_name: None,
    };
    let fence = pair(&db, of, Method::Qr, None).await;
    apart("qr").await;
    pairing::show_qr(store.under(fence), "2@a", 1, 60.0).await.unwrap();
    apart("qr 2@a 1").await;
    let columns = "SELECT count(*) FROM accounts WHERE qr_text = '2@a' AND qr_number = 1 AND qr_expires_at > now()";
    assert_eq!(count(&db, columns).await, 1);
    let fence = pair(&db, of, Method::Code, Some("4917000001")).await;
    apart("code").await;
    pairing::show_code(store.under(fence), "ABCD1234").await.unwrap();
    apart("code ABCD1234").await;
    pairing::accepted(store.under(fence), &who.jid).await.unwrap();
    apart("code").await;
    pairing::linked(store.under(fence), &who).await.unwrap();
    apart("").await;
}

/// The ways in which a pairing ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Linked,
    Duplicate,
    GivenUp,
    Reported(Status),
    Unpaired,
    Parked,
    Deleted,
    /// By a statement of the previous release.
    Before,
}

async fn end(db: &PgPool, of: (TenantId, AccountId), fence: Fence, end: End) {
    let store = Store::from(db.clone());
    let by = Operator::System("test");
    match end {
        End::Linked | End::Duplicate => {
            let number = "4917000009".to_owned();
            let who = LinkedAs { jid: format!("{number}:1@s.whatsapp.net"), number, lid: None, push_name: None };
            pairing::linked(store.under(fence), &who).await.unwrap();
        }
        End::GivenUp => pairing::give_up(store.under(fence), "its time is over").await.unwrap(),
        End::Reported(status) => {
            let change = StatusChange { status, reason: None, banned_for_s: None };
            session::write_status(store.under(fence), change).await.unwrap();
        }
        End::Unpaired => _ = accounts::unpair(store.of(of.0), of.1, by).await.unwrap().quietly(),
        End::Parked => {
            sqlx::query("UPDATE pairings SET window_ends_at = now() - interval '2 hours'").execute(db).await.unwrap();
            let hour = std::time::Duration::from_secs(3_600);
            assert_eq!(
                accounts::park_stale_pairings(store.for_all_tenants(), hour, 10).await.unwrap().quietly(),
                [of.0]
            );
        }
        End::Deleted => _ = accounts::delete(store.of(of.0), of.1, by).await.unwrap().quietly(),
        End::Before => {
            let ended = "UPDATE accounts SET status = 'unpaired', wanted = 'offline', pairing_method = NULL, pairing_phone = NULL,
                pairing_expires_at = NULL, qr_text = NULL, qr_number = NULL, qr_expires_at = NULL, pairing_code = NULL WHERE id = $1";
            sqlx::query(ended).bind(of.1).execute(db).await.unwrap();
        }
    }
}

/// R25, R109: whichever way a pairing ends, its row is removed with its codes and the passkey gate. A pairing that
/// starts again begins empty.
#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_of_a_pairing_outlives_it(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "unpaired").await;
    let twin = account(&db, "connected").await;
    let same = "UPDATE accounts SET tenant_id = $1, phone_number = '4917000009' WHERE id = $2";
    for way in [
        End::Linked,
        End::Duplicate,
        End::GivenUp,
        End::Reported(Status::Unpaired),
        End::Reported(Status::LoggedOut),
        End::Reported(Status::Banned),
        End::Unpaired,
        End::Parked,
        End::Before,
        End::Deleted,
    ] {
        // for a duplicate, the phone is already linked with an account of the same tenant
        let tenant = if matches!(way, End::Duplicate) { of.0 } else { twin.0 };
        sqlx::query(same).bind(tenant).bind(twin.1).execute(&db).await.unwrap();
        let shown = async |method| {
            let fence = pair(&db, of, method, Some("4917000009")).await;
            pairing::show_qr(store.under(fence), "2@a", 1, 60.0).await.unwrap();
            pairing::show_code(store.under(fence), "ABCD1234").await.unwrap();
            passkeys::demand(store.under(fence), "{}", "touch the key").await.unwrap();
            fence
        };
        shown(Method::Code).await;
        pair(&db, of, Method::Qr, None).await;
        assert_eq!((under_way(&db).await.as_str(), count(&db, "SELECT count(*) FROM passkeys").await), ("qr", 0));
        assert_eq!(count(&db, "SELECT count(*) FROM pairings WHERE phone IS NOT NULL").await, 0);
        let fence = shown(Method::Qr).await;
        end(&db, of, fence, way).await;
        let left = "SELECT (SELECT count(*) FROM pairings) + (SELECT count(*) FROM passkeys)";
        assert_eq!(count(&db, left).await, 0, "{way:?}");
        assert_eq!(count(&db, APART).await, 0, "{way:?}");
        if matches!(way, End::Linked) {
            sqlx::query("UPDATE accounts SET status = 'unpaired' WHERE id = $1").bind(of.1).execute(&db).await.unwrap();
        }
    }
    assert_eq!(count(&db, "SELECT count(*) FROM accounts").await, 1, "it was deleted");
}

/// R109: an account that becomes `pending` gets a pairing, whichever release writes it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_pending_account_has_a_pairing(db: PgPool) {
    account(&db, "unpaired").await;
    let refused = sqlx::query("UPDATE accounts SET status = 'pending'").execute(&db).await.unwrap_err();
    let code = refused.into_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    assert_eq!(code.as_deref(), Some("23514"), "a check violation");
}
