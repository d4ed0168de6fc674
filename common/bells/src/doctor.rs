//! The checks of Redis: it can be reached, is new enough, accepts writes and keeps them, and a lease and a signal make
//! a round trip.

use std::time::Duration;

use futures::StreamExt as _;
use uuid::Uuid;

use crate::keys::RedisKeys;
use crate::lease::Leases;
use crate::redis_health::RedisHealth;
use domain::id::{AccountId, WorkerId};
use process::config::Redis;
use process::doctor::Check;
use process::trouble::redis::{of, server_of, silent};

const NAMES: [&str; 5] = ["redis version", "redis policy", "redis memory", "redis lease", "redis signal"];
/// The oldest version that has the commands and scripts we use.
const OLDEST_VERSION: u32 = 6;
/// The percentage of memory that may be in use before a warning.
const FULL_PERCENT: u64 = 80;
/// The time limit of one exchange.
const ASK: Duration = Duration::from_secs(3);
/// The lifetime of the trial lease.
const TRIAL: Duration = Duration::from_secs(5);

/// Runs the checks.
pub async fn look(redis: &Redis) -> Vec<Check> {
    let Ok(health) = RedisHealth::connect(&redis.url, &redis.prefix) else {
        return vec![Check::failed("redis", "REDIS_URL can't be read", "write redis://:password@host:6379")];
    };
    let server = server_of(&redis.url);
    if let Err(trouble) = health.ask().await {
        let skipped = NAMES.map(|name| Check::skipped(name, "redis"));
        return std::iter::once(Check::trouble("redis", trouble)).chain(skipped).collect();
    }
    let mut checks = vec![Check::ok("redis", format!("{server}, prefix `{}`; it takes writes", redis.prefix))];
    let info = health.info().await;
    let of_info = |name: &str| info.as_deref().and_then(|info| field(info, name));
    checks.push(version(of_info("redis_version")));
    checks.push(match health.keeps().await {
        Ok(()) => Check::ok("redis policy", of_info("maxmemory_policy").unwrap_or("not told")),
        Err(trouble) => Check::warning("redis policy", trouble.what, trouble.fix),
    });
    checks.push(memory(of_info("used_memory"), of_info("maxmemory")));
    checks.push(lease(redis).await);
    checks.push(signal(redis).await);
    checks
}

/// Pure. The value of a field of INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Pure.
fn version(version: Option<&str>) -> Check {
    let Some(version) = version else { return Check::ok("redis version", "not told") };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST_VERSION) {
        return Check::failed("redis version", version, format!("upgrade it: {OLDEST_VERSION} or newer is needed"));
    }
    Check::ok("redis version", version)
}

/// Pure.
fn memory(used: Option<&str>, max: Option<&str>) -> Check {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    let (Some(used), Some(max)) = (number(used), number(max)) else { return Check::ok("redis memory", "not told") };
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    if max == 0 {
        return Check::ok("redis memory", format!("{} in use, no limit", mb(used)));
    }
    let says = format!("{} of {} in use", mb(used), mb(max));
    if used.saturating_mul(100) > max.saturating_mul(FULL_PERCENT) {
        return Check::warning("redis memory", says, "raise maxmemory; a full Redis refuses leases and bells");
    }
    Check::ok("redis memory", says)
}

/// Takes and releases a lease on an account that does not exist.
async fn lease(redis: &Redis) -> Check {
    const NAME: &str = "redis lease";
    let trial = async {
        let leases = Leases::connect(&redis.url, &redis.prefix, WorkerId::new(), TRIAL)?;
        let account = [AccountId::new()];
        let won = leases.acquire(&account).await?;
        let gone = leases.release(&account).await?;
        Ok::<_, crate::lease::Error>((won, gone))
    };
    match tokio::time::timeout(ASK, trial).await {
        Ok(Ok((won, 1))) if won.accounts.len() == 1 => {
            let young = if won.young { "; Redis is young: missing keys are not believed yet" } else { "" };
            Check::ok(NAME, format!("taken and given back{young}"))
        }
        Ok(Ok(_)) => {
            Check::failed(NAME, "a lease was taken and was gone", "see who else writes to Redis under REDIS_PREFIX")
        }
        Ok(Err(error)) => Check::failed(NAME, error.to_string(), "let the user run EVAL and INFO; see Redis's log"),
        Err(_) => Check::trouble(NAME, silent(&server_of(&redis.url))),
    }
}

/// Publishes a signal on a channel of its own and waits for it.
async fn signal(redis: &Redis) -> Check {
    const NAME: &str = "redis signal";
    let server = server_of(&redis.url);
    let channel = RedisKeys::new(&redis.prefix).doctor(Uuid::new_v4());
    let trial = async {
        let client = redis::Client::open(redis.url.as_str())?;
        let mut heard = client.get_async_pubsub().await?;
        heard.subscribe(&channel).await?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PUBLISH").arg(&channel).arg("1").exec_async(&mut connection).await?;
        Ok::<bool, redis::RedisError>(heard.on_message().next().await.is_some())
    };
    match tokio::time::timeout(ASK, trial).await {
        Ok(Ok(true)) => Check::ok(NAME, "published and heard"),
        Ok(Err(error)) => Check::trouble(NAME, of(&error, &server)),
        Ok(Ok(false)) | Err(_) => Check::failed(
            NAME,
            "a signal was published and not heard",
            "let the user subscribe to channels of REDIS_PREFIX (ACL &switchboard:*)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use process::doctor::State;

    #[test]
    fn what_redis_says_of_itself_is_judged() {
        let info = "# Server\r\nredis_version:7.0.15\r\nused_memory:900\r\nmaxmemory:1000\r\n";
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field(info, "redis"), None);
        assert_eq!(version(Some("5.0.1")).state, State::Failed);
        assert_eq!(version(Some("7.0.15")).state, State::Ok);
        assert_eq!(memory(field(info, "used_memory"), field(info, "maxmemory")).state, State::Warning);
        assert_eq!(memory(Some("900"), Some("0")).state, State::Ok);
        assert_eq!(memory(None, None).state, State::Ok);
    }
}
