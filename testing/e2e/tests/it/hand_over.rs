//! An operator moves an account from one worker to another.

use api::config::Cli;
use e2e::Cluster;
use sqlx::PgPool;

async fn command(cluster: &Cluster, words: &str) -> String {
    let args = ["switchboard-api"]
        .into_iter()
        .chain(words.split(' '))
        .chain(["--database-url", cluster.setting("DATABASE_URL")]);
    let cli = Cli::read(args.map(Into::into)).unwrap();
    let mut out = Vec::new();
    assert!(api::commands::run(cli.command, &mut out).await.unwrap());
    String::from_utf8(out).unwrap()
}

async fn owner(cluster: &Cluster, account: &str) -> String {
    let owner = "SELECT owner::text FROM leases WHERE account_id = $1::uuid";
    sqlx::query_scalar(owner).bind(account).fetch_one(&cluster.pool).await.unwrap()
}

/// R02, R64: `accounts release` moves an account from its worker to the other one, and `accounts move --to` moves it
/// back. Messages that are sent before, meanwhile and after arrive once, and there is never a second socket.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_account_goes_to_the_other_worker_and_back(pool: PgPool) {
    let (cluster, workers) = Cluster::start(pool, 2).await;
    let (account, _) = cluster.connected("Ada").await;
    let bob = cluster.phone("Bob").await;
    let first = owner(&cluster, &account).await;
    cluster.send(&account, &bob, "before").await;
    cluster.shows(&bob, &["before"]).await;

    let words = format!("accounts release {account}");
    let released = command(&cluster, &words);
    let texts: Vec<String> = (0..10).map(|n| format!("text {n}")).collect();
    let sending = async {
        for text in &texts {
            cluster.send(&account, &bob, text).await;
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    let (said, ()) = tokio::join!(released, sending);
    assert!(said.contains(" went from ") && said.contains(" s\n"), "{said}");
    let second = owner(&cluster, &account).await;
    assert_ne!(first, second);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    cluster.shows(&bob, &texts).await;

    let said = command(&cluster, &format!("accounts move {account} --to {first} --json")).await;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["from"].as_str().unwrap(), said["to"].as_str().unwrap()), (second.as_str(), first.as_str()));
    cluster.status(&account, "connected").await;
    cluster.send(&account, &bob, "after").await;
    let inbox = cluster.shows(&bob, &["after"]).await;
    assert!(inbox.iter().all(|message| message["times_arrived"] == 1), "{inbox:?}");
    assert_eq!(cluster.overlaps().await, 0);
    cluster.stop(workers).await;
}
