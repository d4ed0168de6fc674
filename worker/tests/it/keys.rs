//! The keys that seal credentials: the check at the start, rotation and the list, partly with the real process.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::AccountId;
use kit::rows;
use sqlx::ConnectOptions as _;
use store::credentials::{CredentialStore, Record};
use store::seal::Sealer;
use store::{Fence, PgPool, Store};
use tokio_util::sync::CancellationToken;
use worker::keys::rotate::rotate;
use worker::keys::{Misfit, check, list};

fn text(keys: &[(&str, u8)]) -> String {
    let keys: Vec<String> = keys.iter().map(|(id, byte)| format!("{id}:{}", STANDARD.encode([*byte; 32]))).collect();
    keys.join(",")
}

fn sealer(keys: &[(&str, u8)]) -> Arc<Sealer> {
    Arc::new(Sealer::parse(&text(keys)).unwrap())
}

/// A connected account with this many records under a key.
async fn account(pool: &PgPool, key: (&str, u8), records: usize) -> AccountId {
    let linked = rows::Account { number: Some("15550001"), epoch: 1, ..rows::Account::of("connected") };
    let (_, account) = rows::Account { jid: Some("15550001:3@s.whatsapp.net"), ..linked }.of_new_tenant(pool).await;
    let store = Store::from(pool.clone());
    let credentials = CredentialStore::new(store.under(Fence { account, epoch: 1 }), sealer(&[key]));
    let records = (0..records).map(|n| Record::new(format!("record {n}"), "content")).collect();
    credentials.put_many(2, records).await.unwrap();
    account
}

/// Everything that a worker could have changed, as one text.
async fn everything(pool: &PgPool) -> String {
    let sql = "SELECT (SELECT string_agg(c::text, ';' ORDER BY c::text) FROM credentials c) || '|'
                   || (SELECT string_agg(a::text, ';' ORDER BY a::text) FROM accounts a) || '|'
                   || (SELECT string_agg(l::text, ';' ORDER BY l::text) FROM leases l) || '|'
                   || (SELECT count(*) FROM workers) || '|' || (SELECT count(*) FROM events)";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

async fn misfit(pool: &PgPool, keys: &[(&str, u8)]) -> String {
    let error = check(Store::from(pool.clone()).for_all_tenants(), &sealer(keys)).await.unwrap_err();
    assert!(error.is::<Misfit>(), "{error:#}");
    error.to_string()
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn keys_that_do_not_fit_are_named(pool: PgPool) {
    let store = Store::from(pool.clone());
    check(store.for_all_tenants(), &sealer(&[("a", 1)])).await.unwrap();
    account(&pool, ("a", 1), 3).await;
    account(&pool, ("b", 2), 1).await;
    check(store.for_all_tenants(), &sealer(&[("c", 3), ("b", 2), ("a", 1)])).await.unwrap();
    let missing = misfit(&pool, &[("b", 2)]).await;
    assert!(missing.contains("3 records are sealed under key `a`, which is not configured"), "{missing}");
    assert!(!missing.contains("`b`"), "{missing}");
    let wrong = misfit(&pool, &[("a", 1), ("b", 9)]).await;
    assert!(
        wrong.contains("1 record is sealed under key `b`, and the key configured under that id is another"),
        "{wrong}"
    );
    assert_eq!(
        list(store.for_all_tenants(), &sealer(&[("c", 3), ("b", 9), ("d", 4)])).await.unwrap(),
        "a  3 records  missing: not in CREDENTIAL_KEYS\n\
         b  1 records  wrong: another key has this id\n\
         c  0 records  seals\n\
         d  0 records  unused: may go once every worker runs with the first key\n"
    );
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn rotation_is_resumed_and_ends(pool: PgPool) {
    let store = Store::from(pool.clone());
    account(&pool, ("a", 1), 25).await;
    let lost = account(&pool, ("lost", 9), 2).await;
    let keys = sealer(&[("b", 2), ("a", 1)]);
    // stopped after the first batch
    let stop = CancellationToken::new();
    let first = rotate(store.for_all_tenants(), &keys, 10, &stop, |_| stop.cancel()).await.unwrap();
    assert!(first.stopped && !first.complete());
    assert_eq!((first.done, first.left), (10, 17));
    assert!(first.to_string().ends_with("stopped; run it again to go on"), "{first}");
    // and continued
    let mut told = Vec::new();
    let stop = CancellationToken::new();
    let second = rotate(store.for_all_tenants(), &keys, 10, &stop, |progress| told.push(progress.done)).await.unwrap();
    assert_eq!((second.done, second.left), (15, 2));
    assert!(told.is_sorted() && told.last() == Some(&15));
    assert!(!second.complete());
    assert_eq!(
        second.to_string(),
        format!(
            "15 records sealed anew under key `b`, 2 left\n2 records do not open (key missing, or damaged):\n  account {lost}, kind 2: 2"
        )
    );
    // and with the missing key
    let all = sealer(&[("b", 2), ("a", 1), ("lost", 9)]);
    let third = rotate(store.for_all_tenants(), &all, 10, &stop, |_| ()).await.unwrap();
    assert_eq!((third.done, third.complete()), (2, true));
    let fourth = rotate(store.for_all_tenants(), &all, 10, &stop, |_| ()).await.unwrap();
    assert_eq!((fourth.done, fourth.complete()), (0, true));
    check(store.for_all_tenants(), &sealer(&[("b", 2)])).await.unwrap();
}

/// Runs the real process.
async fn process(pool: &PgPool, keys: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard-worker"));
    command
        .args(args)
        .env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string())
        .env("CREDENTIAL_KEYS", keys)
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("OPS_LISTEN", "127.0.0.1:0")
        .env("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat")
        .env("WHATSAPP_VERSION", "2.3000.1")
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// R04: a worker without a key that is in use exits with 78 and names the key, before it registers or changes anything.
/// A worker with another key under the same id does the same.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_worker_with_wrong_keys_does_not_start(pool: PgPool) {
    account(&pool, ("a", 1), 2).await;
    let before = everything(&pool).await;
    for keys in [text(&[("b", 2)]), text(&[("a", 2)])] {
        let ended = process(&pool, &keys, &[]).await;
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(ended.status.code(), Some(78), "{said}");
        assert!(said.contains("2 records are sealed under key `a`"), "{said}");
    }
    assert_eq!(everything(&pool).await, before);
}

/// The commands, their output and their exit codes.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_commands_on_keys(pool: PgPool) {
    account(&pool, ("a", 1), 3).await;
    let keys = text(&[("b", 2), ("a", 1)]);
    let rotated = process(&pool, &keys, &["keys", "rotate", "--batch", "2"]).await;
    let said = String::from_utf8(rotated.stderr).unwrap();
    assert_eq!(rotated.status.code(), Some(0), "{said}");
    assert_eq!(said, "3 records sealed anew under key `b`, 0 left\n");
    let listed = process(&pool, &keys, &["keys", "list"]).await;
    assert_eq!(listed.status.code(), Some(0));
    let said = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(said, "a  0 records  unused: may go once every worker runs with the first key\nb  3 records  seals\n");

    let failed = process(&pool, &text(&[("c", 3)]), &["keys", "rotate"]).await;
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(process(&pool, &keys, &["keys", "burn"]).await.status.code(), Some(64));
    assert_eq!(process(&pool, &keys, &["keys", "--help"]).await.status.code(), Some(0));
}
