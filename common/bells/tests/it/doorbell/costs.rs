//! What bells cost Redis, counted by a Redis of the test's own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bells::doorbell::{Doorbell, Path};
use kit::{RedisServer, redis_prefix};

use super::{Counting, Listening, UNHURRIED, accounts, eventually, own, send};

/// How often each command was called so far.
async fn calls(url: &str) -> HashMap<String, u64> {
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await.unwrap();
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        })
        .collect()
}

/// R70: after a bell its queue is asked no more often than before: a bell costs Redis some twenty commands, and silence four
/// looks a second into each queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_bell_costs_few_commands() {
    const BELLS: u64 = 8;
    let (redis, prefix) = (RedisServer::start(), redis_prefix());
    let bell = Doorbell::with_timing(&redis.url(), &prefix, UNHURRIED).unwrap();
    let handler = Arc::new(Counting::default());
    let listening = Listening::start(&bell, &handler).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let every = Duration::from_millis(500);
    let mut counted = Vec::new();
    for rings in [false, true] {
        let before = calls(&redis.url()).await;
        for account in accounts(usize::try_from(BELLS).unwrap()) {
            if rings {
                own(&redis.url(), &prefix, account, listening.worker).await;
                bell.ring(&send(account)).await.unwrap();
            }
            tokio::time::sleep(every).await;
        }
        let after = calls(&redis.url()).await;
        counted.push(after.values().sum::<u64>() - before.values().sum::<u64>());
    }
    eventually(Duration::from_secs(5), || handler.by(Path::Queue) == usize::try_from(BELLS).unwrap()).await;
    listening.stop().await;
    let (silence, bells) = (counted[0], counted[1]);
    println!(
        "{silence} commands in {:?} of silence, {bells} with {BELLS} bells",
        every * u32::try_from(BELLS).unwrap()
    );
    assert!(bells.saturating_sub(silence) < 40 * BELLS, "{bells} commands, {silence} in silence");
}
