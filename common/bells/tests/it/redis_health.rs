//! What is said of a Redis that does not do what it is there for.

use bells::redis_health::RedisHealth;
use kit::RedisServer;

async fn tell(url: &str, words: &[&str]) {
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.exec_async(&mut connection).await.unwrap();
}

/// R60: each of these is named with what to do, and is over when it is mended.
#[tokio::test]
async fn what_is_wrong_with_redis_is_named() {
    let server = RedisServer::start();
    let url = server.url();
    let health = || RedisHealth::connect(&url, "t:").unwrap();
    health().ask().await.unwrap();
    health().keeps().await.unwrap();

    tell(&url, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let says = health().keeps().await.unwrap_err().to_string();
    assert!(says.contains("may throw leases away") && says.contains("set maxmemory-policy noeviction"), "{says}");
    tell(&url, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    health().keeps().await.unwrap();

    tell(&url, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let says = health().ask().await.unwrap_err().to_string();
    assert!(says.contains("the memory of Redis") && says.contains("raise maxmemory"), "{says}");
    tell(&url, &["CONFIG", "SET", "maxmemory", "0"]).await;
    health().ask().await.unwrap();

    tell(&url, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let says = health().ask().await.unwrap_err().to_string();
    assert!(says.contains("takes no writes") && says.contains("primary"), "{says}");
    tell(&url, &["REPLICAOF", "NO", "ONE"]).await;
    health().ask().await.unwrap();

    tell(&url, &["CONFIG", "SET", "requirepass", "s3cret"]).await;
    let says = health().ask().await.unwrap_err().to_string();
    assert!(says.contains("wants a password"), "{says}");
    let wrong = url.replace("redis://", "redis://:wr0ng@");
    let says = RedisHealth::connect(&wrong, "t:").unwrap().ask().await.unwrap_err().to_string();
    assert!(says.contains("refuses the password") && !says.contains("wr0ng"), "{says}");
    let right = url.replace("redis://", "redis://:s3cret@");
    RedisHealth::connect(&right, "t:").unwrap().ask().await.unwrap();
    tell(&right, &["ACL", "SETUSER", "ada", "on", ">pw", "~other:*", "+@all"]).await;
    let other = url.replace("redis://", "redis://ada:pw@");
    let says = RedisHealth::connect(&other, "t:").unwrap().ask().await.unwrap_err().to_string();
    assert!(says.contains("refuses what its user asks for") && says.contains("REDIS_PREFIX"), "{says}");

    let tls = right.replace("redis://", "rediss://");
    let says = RedisHealth::connect(&tls, "t:").unwrap().ask().await.unwrap_err().to_string();
    assert!(says.contains("TLS"), "a Redis without TLS: {says}");
    let nowhere = RedisHealth::connect("redis://nowhere.invalid", "t:").unwrap().ask().await.unwrap_err().to_string();
    assert!(nowhere.contains("there is no host for Redis at nowhere.invalid:6379"), "{nowhere}");
    drop(server);
    let says = RedisHealth::connect(&right, "t:").unwrap().ask().await.unwrap_err().to_string();
    assert!(says.contains("can't be reached") && says.contains("start it"), "{says}");
}
