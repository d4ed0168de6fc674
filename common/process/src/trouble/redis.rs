//! Pure. Problems with Redis. A process starts and works without Redis, only slower. But Redis must not forget keys by
//! itself.

use redis::RedisError;

use super::Trouble;
use crate::telemetry::metrics::failure;
use crate::telemetry::metrics::labels::RedisError as Fault;

/// The only eviction policy under which Redis drops no lease.
pub const POLICY: &str = "noeviction";

/// The problem behind a failed call. `server` is the address of Redis, without secrets.
#[must_use]
pub fn of(error: &RedisError, server: &str) -> Trouble {
    let says = error.to_string();
    let fault = failure::of_redis(error);
    let kind = fault.as_str();
    match fault {
        Fault::Unreachable if says.contains("lookup address") => Trouble::in_time(
            kind,
            format!("there is no host for Redis at {server}"),
            "correct the host in REDIS_URL, or the name service",
        ),
        Fault::Unreachable if tls(&says) => Trouble::by_hand(
            kind,
            format!("Redis at {server} fails the TLS handshake ({says})"),
            "use rediss:// only where Redis speaks TLS; name a private authority's file with SSL_CERT_FILE",
        ),
        Fault::Unreachable => Trouble::in_time(
            kind,
            format!("Redis at {server} can't be reached ({says})"),
            "start it, or let this process through to it (firewall, NetworkPolicy), or correct REDIS_URL (redis:// without TLS, rediss:// with)",
        ),
        Fault::Timeout => silent(server),
        Fault::Auth if says.contains("NOPERM") || says.contains("no permissions") => Trouble::by_hand(
            kind,
            format!("Redis at {server} refuses what its user asks for ({says})"),
            "let the user do everything with keys and channels of REDIS_PREFIX, and call INFO and EVAL",
        ),
        Fault::Auth if says.contains("NOAUTH") => Trouble::by_hand(
            kind,
            format!("Redis at {server} wants a password"),
            "put it into REDIS_URL: redis://:password@host:6379",
        ),
        Fault::Auth => Trouble::by_hand(
            kind,
            format!("Redis at {server} refuses the password"),
            "put the right one into REDIS_URL (or the file of REDIS_URL_FILE) and restart",
        ),
        Fault::ReadOnly => Trouble::in_time(
            kind,
            format!("Redis at {server} takes no writes ({says})"),
            "point REDIS_URL at the primary, or see Redis's log (disk, replicas)",
        ),
        Fault::OutOfMemory => Trouble::in_time(
            kind,
            format!("the memory of Redis at {server} is full"),
            "raise maxmemory; Switchboard needs few megabytes, so see who else writes there",
        ),
        Fault::Other => Trouble::in_time(kind, format!("Redis at {server} fails: {says}"), "see Redis's log"),
    }
}

/// Redis does not answer.
#[must_use]
pub fn silent(server: &str) -> Trouble {
    let fix = if server.ends_with(WITH_TLS) {
        "use rediss:// only where Redis speaks TLS; else see its load, or let this process through to it"
    } else {
        "see its load, or let this process through to it (firewall, NetworkPolicy)"
    };
    Trouble::in_time(Fault::Timeout.as_str(), format!("Redis at {server} does not answer in time"), fix)
}

/// Redis evicts keys when its memory is full.
#[must_use]
pub fn evicts(policy: &str, server: &str) -> Trouble {
    Trouble::by_hand(
        Fault::Other.as_str(),
        format!("Redis at {server} may throw leases away when its memory is full (maxmemory-policy {policy})"),
        format!("set maxmemory-policy {POLICY}"),
    )
}

fn tls(says: &str) -> bool {
    ["certificate", "corrupt message", "TLS", "tls", "handshake"].iter().any(|word| says.contains(word))
}

/// The suffix of a server that is reached by TLS. A server without TLS does not answer then.
const WITH_TLS: &str = " with TLS";

/// The server of a URL, without user and password.
#[must_use]
pub fn server_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return "REDIS_URL".to_owned() };
    let tls = if ["rediss", "valkeys"].contains(&url.scheme()) { WITH_TLS } else { "" };
    match (url.host_str(), url.port()) {
        (Some(host), port) => format!("{host}:{}{tls}", port.unwrap_or(6_379)),
        (None, _) => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_its_password() {
        assert_eq!(server_of("redis://:s3cret@cache.example"), "cache.example:6379");
        assert_eq!(server_of("rediss://ada:s3cret@cache.example:7000/2"), "cache.example:7000 with TLS");
        assert_eq!(server_of("unix:///run/redis.sock"), "/run/redis.sock");
        assert_eq!(server_of("s3cret"), "REDIS_URL");
    }

    #[test]
    fn each_failure_names_what_helps() {
        let io = |text: &str| RedisError::from(std::io::Error::other(text.to_owned()));
        for (error, helps) in [
            (io("failed to lookup address information: Name or service not known"), "correct the host"),
            (io("received corrupt message of type InvalidContentType"), "rediss:// only where"),
            (io("Connection refused (os error 111)"), "start it"),
            (
                RedisError::from((redis::ErrorKind::AuthenticationFailed, "Password authentication failed")),
                "the right one",
            ),
            (RedisError::from((redis::ErrorKind::Server(redis::ServerErrorKind::ReadOnly), "replica")), "primary"),
        ] {
            let trouble = of(&error, "cache:6379");
            assert!(trouble.fix.contains(helps), "{trouble}");
        }
    }
}
