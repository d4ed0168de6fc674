//! What an account stores of its phone is removed when the link ends, in whichever way (R92).

use std::time::Duration;

use domain::account::{Method, Status};
use domain::id::{AccountId, TenantId};
use sqlx::PgPool;
use store::accounts::{self, Deletion};
use store::audit::Operator;
use store::pairing::{self, LinkedAs};
use store::session::{self, StatusChange};
use store::{Fence, MIGRATOR, Store};

use crate::due::{account, count};

const NUMBER: &str = "4917000001";
const BY: Operator = Operator::System("test");

/// An account with this status, with everything that a phone can leave in it, and a group.
async fn filled(db: &PgPool, status: &str, wanted: &str) -> ((TenantId, AccountId), Fence) {
    let of = account(db, "unpaired").await;
    sqlx::query(
        "WITH a AS (
             UPDATE accounts SET status = $2, wanted = $3, phone_number = $4, jid = $4 || ':1@s.whatsapp.net', lid = '99:1@lid',
                 push_name = 'Ada', banned_until = now() + interval '1 hour', held_until = now() + interval '1 hour',
                 groups_wanted_at = now(), groups_synced_at = now()
             WHERE id = $1 RETURNING id, status)
         INSERT INTO pairings (account_id, method, window_ends_at) SELECT id, 'qr', now() FROM a WHERE status = 'pending'",
    )
    .bind(of.1)
    .bind(status)
    .bind(wanted)
    .bind(NUMBER)
    .execute(db)
    .await
    .unwrap();
    sqlx::query("INSERT INTO groups (tenant_id, account_id, jid, subject, size, can_post) VALUES ($1, $2, '1@g.us', 'Team', 2, true)")
        .bind(of.0)
        .bind(of.1)
        .execute(db)
        .await
        .unwrap();
    (of, Fence { account: of.1, epoch: 0 })
}

/// Accounts in which something of a phone is left.
const LEFT: &str = "
    SELECT count(*) FROM accounts
    WHERE (phone_number, jid, lid, push_name, banned_until, held_until, groups_wanted_at)
        IS DISTINCT FROM (NULL, NULL, NULL, NULL, NULL, NULL, NULL)";

#[derive(Debug, Clone, Copy)]
enum Way {
    Unpaired,
    LoggedOut {
        confirmed: bool,
    },
    Paired,
    Reported(Status),
    GivenUp,
    Duplicate,
    Parked,
    /// By a statement of the previous release.
    Before(&'static str),
}

async fn end(db: &PgPool, of: (TenantId, AccountId), fence: Fence, way: Way) {
    let store = Store::from(db.clone());
    match way {
        Way::Unpaired => _ = accounts::unpair(store.of(of.0), of.1, BY).await.unwrap().quietly(),
        Way::LoggedOut { confirmed } => accounts::unlinked(store.of(of.0), fence, confirmed).await.unwrap(),
        Way::Paired => _ = accounts::pair(store.of(of.0), of.1, (Method::Qr, None), BY).await.unwrap().quietly(),
        Way::Reported(status) => {
            let change = StatusChange { status, reason: None, banned_for_s: None };
            session::write_status(store.under(fence), change).await.unwrap();
        }
        Way::GivenUp => pairing::give_up(store.under(fence), "its time is over").await.unwrap(),
        Way::Duplicate => {
            sqlx::query("UPDATE accounts SET phone_number = NULL WHERE id = $1").bind(of.1).execute(db).await.unwrap();
            let twin = account(db, "connected").await;
            let same = "UPDATE accounts SET tenant_id = $1, phone_number = $2 WHERE id = $3";
            sqlx::query(same).bind(of.0).bind(NUMBER).bind(twin.1).execute(db).await.unwrap();
            pairing::linked(store.under(fence), &who()).await.unwrap();
            sqlx::query("DELETE FROM accounts WHERE id = $1").bind(twin.1).execute(db).await.unwrap();
        }
        Way::Parked => {
            sqlx::query("UPDATE pairings SET window_ends_at = now() - interval '2 hours'").execute(db).await.unwrap();
            let parked =
                accounts::park_stale_pairings(store.for_all_tenants(), Duration::from_secs(3_600), 10).await.unwrap();
            assert_eq!(parked.quietly(), [of.0]);
        }
        Way::Before(statement) => _ = sqlx::query(statement).execute(db).await.unwrap(),
    }
}

fn who() -> LinkedAs {
    LinkedAs { number: NUMBER.to_owned(), jid: format!("{NUMBER}:2@s.whatsapp.net"), lid: None, push_name: None }
}

/// R92: whatever ends a link, nothing of the phone stays, and nothing of a phone is written to an account without one.
/// The groups stay.
#[sqlx::test(migrator = "MIGRATOR")]
async fn nothing_of_a_phone_that_is_gone_stays(db: PgPool) {
    for (status, wanted, way) in [
        ("connected", "online", Way::Unpaired),
        ("disconnected", "online", Way::Unpaired),
        ("banned", "online", Way::Unpaired),
        ("pending", "online", Way::Unpaired),
        ("connected", "unlinked", Way::LoggedOut { confirmed: true }),
        ("connected", "unlinked", Way::LoggedOut { confirmed: false }),
        ("disconnected", "online", Way::Paired),
        ("banned", "online", Way::Paired),
        ("pending", "online", Way::Paired),
        ("disconnected", "unlinked", Way::Paired),
        ("connected", "online", Way::Reported(Status::LoggedOut)),
        ("connected", "online", Way::Reported(Status::Unpaired)),
        ("connected", "erased", Way::Reported(Status::LoggedOut)),
        ("pending", "online", Way::GivenUp),
        ("pending", "online", Way::Duplicate),
        ("pending", "online", Way::Parked),
        ("connected", "online", Way::Before("UPDATE accounts SET status = 'logged_out', wanted = 'offline'")),
        ("connected", "online", Way::Before("UPDATE accounts SET status = 'unpaired', generation = generation + 1")),
        (
            "disconnected",
            "online",
            Way::Before(
                "UPDATE accounts SET status = 'pending', wanted = 'online', generation = generation + 1, pairing_method = 'qr',
                    pairing_expires_at = now(), phone_number = NULL, jid = NULL, lid = NULL, push_name = NULL, banned_until = NULL",
            ),
        ),
    ] {
        let (of, fence) = filled(&db, status, wanted).await;
        assert_eq!(count(&db, LEFT).await, 1);
        end(&db, of, fence, way).await;
        assert_eq!(count(&db, LEFT).await, 0, "{status}, {wanted}, {way:?}");
        assert_eq!(count(&db, "SELECT count(*) FROM groups").await, 1, "{way:?}");
        let late = "UPDATE accounts SET push_name = 'Ada', lid = '99@lid' WHERE status <> 'pending'";
        sqlx::query(late).execute(&db).await.unwrap();
        assert_eq!(count(&db, LEFT).await, 0, "{way:?}: a late write");
        sqlx::query("DELETE FROM accounts").execute(&db).await.unwrap();
    }
}

/// R92: the next phone is not held because of the phone before it.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_new_phone_is_not_held_for_the_old_one(db: PgPool) {
    let store = Store::from(db.clone());
    let (of, _) = filled(&db, "disconnected", "online").await;
    accounts::pair(store.of(of.0), of.1, (Method::Qr, None), BY).await.unwrap().quietly();
    let fence = Fence { account: of.1, epoch: 1 };
    pairing::accepted(store.under(fence), &who().jid).await.unwrap();
    pairing::linked(store.under(fence), &who()).await.unwrap();
    let row = session::load(store.under(fence)).await.unwrap();
    assert_eq!((row.phone_number.as_deref(), row.held_left_s, row.banned_left_s), (Some(NUMBER), 0.0, 0.0));
}

/// R14, R92: a deleted account keeps its device until its owner has logged it out, even if it is just being linked.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_delete_forgets_no_device_that_is_to_be_logged_out(db: PgPool) {
    let store = Store::from(db.clone());
    for status in ["pending", "connected", "disconnected"] {
        let (of, fence) = filled(&db, status, "online").await;
        sqlx::query(
            "INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ($1, 1, 'device', 'k', 'x')",
        )
        .bind(of.1)
        .execute(&db)
        .await
        .unwrap();
        let deletion = accounts::delete(store.of(of.0), of.1, BY).await.unwrap().quietly();
        assert_eq!(deletion, Deletion::LoggingOut, "{status}");
        assert!(session::load(store.under(fence)).await.unwrap().registered, "{status}");
    }
}
