//! Pure. Parsers of settings. A wrong value is found and named when the process starts.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::EnvFilter;
use url::Url;

/// The longest word that a setting may be. Such words are stored in rows and used as labels.
const WORD_MAX: usize = 100;

/// Why a value is refused. It never repeats the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

fn refused<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

/// Checks a Postgres URL.
///
/// # Errors
/// If it is not one, or names no database.
pub fn postgres_url(text: &str) -> Result<String, Refused> {
    const FORM: &str = "write postgres://user:password@host:5432/database";
    let Ok(url) = Url::parse(text) else { return refused(format!("this is no URL: {FORM}")) };
    if !["postgres", "postgresql"].contains(&url.scheme()) {
        return refused(format!("the scheme is not postgres: {FORM}"));
    }
    let Ok(options) = PgConnectOptions::from_str(text) else {
        return refused("a parameter behind the `?` is not one of Postgres's, such as sslmode=verify-full");
    };
    if options.get_database().is_none_or(str::is_empty) {
        return refused(format!("the database is missing: {FORM}"));
    }
    Ok(text.to_owned())
}

/// Checks a Redis URL.
///
/// # Errors
/// If it is not one.
pub fn redis_url(text: &str) -> Result<String, Refused> {
    match redis::Client::open(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            refused("this is no URL of a Redis: write redis://[:password@]host:6379[/number], or rediss:// with TLS")
        }
    }
}

/// Checks an http or https URL.
///
/// # Errors
/// If it is not one.
pub fn http_url(text: &str) -> Result<String, Refused> {
    url_of(text, &["http", "https"], "http://collector:4318")
}

/// Checks a URL that has a host and one of these schemes.
///
/// # Errors
/// If it is not one.
pub fn url_of(text: &str, schemes: &[&str], example: &str) -> Result<String, Refused> {
    match Url::parse(text) {
        Ok(url) if schemes.contains(&url.scheme()) && url.has_host() => Ok(text.to_owned()),
        _ => refused(format!("this is no URL with {}: write e.g. {example}", schemes.join(" or "))),
    }
}

/// Checks a log filter.
///
/// # Errors
/// If it is empty or not a valid filter.
pub fn log_filter(text: &str) -> Result<String, Refused> {
    if text.trim().is_empty() {
        return refused("it is empty: write e.g. info, or leave it out");
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => refused("this is no filter: write e.g. info or warn,worker=debug"),
    }
}

/// Checks the prefix of every key in Redis. Match patterns are made from it, so it may not contain a character with a
/// meaning there.
///
/// # Errors
/// If it is empty, too long, or contains such a character.
pub fn key_prefix(text: &str) -> Result<String, Refused> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":._-{}".contains(c);
    if text.is_empty() || text.len() > WORD_MAX || !text.chars().all(plain) {
        return refused(format!("it must be 1 to {WORD_MAX} letters, digits or `:._-{{}}`, e.g. switchboard:"));
    }
    Ok(text.to_owned())
}

/// Checks a word for people, such as a release.
///
/// # Errors
/// If it is empty, too long, or contains blanks or control characters.
pub fn word(text: &str) -> Result<String, Refused> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if text.is_empty() || text.chars().count() > WORD_MAX || text.chars().any(odd) {
        return refused(format!("it must be 1 to {WORD_MAX} characters without blanks"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R06: a text that is not a URL is refused, and no error repeats a value that may be a secret.
    #[test]
    fn urls_are_looked_at() {
        for good in ["postgres://a:b@h/d", "postgresql://h:1/d?sslmode=verify-full", "postgres://u@h/d?host=/run/pg"] {
            assert_eq!(postgres_url(good), Ok(good.to_owned()));
        }
        for bad in
            ["", "s3cret", "mysql://a:s3cret@h/d", "postgres://a:s3cret@h", "postgres://a:s3cret@h/d?sslmode=s3cret"]
        {
            let says = postgres_url(bad).unwrap_err().to_string();
            assert!(!says.contains("s3cret"), "{says}");
        }
        for good in ["redis://h", "redis://:b@h:1/2", "unix:///run/r.sock"] {
            assert_eq!(redis_url(good), Ok(good.to_owned()));
        }
        for bad in ["", "s3cret", "http://a:s3cret@h", "redis://h/s3cret"] {
            let says = redis_url(bad).unwrap_err().to_string();
            assert!(!says.contains("s3cret"), "{says}");
        }
        assert!(http_url("https://collector:4318").is_ok());
        for bad in ["", "collector:4318", "grpc://collector:4317", "http://"] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_looked_at() {
        for good in ["info", "warn,api=debug", "worker::session[span]=trace"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "api=loud", "a=b=c"] {
            assert!(log_filter(bad).is_err(), "{bad}");
        }
        assert!(key_prefix("switchboard:").is_ok() && key_prefix("test-{1}:").is_ok());
        for bad in ["", "a*", "a b", "a?", "[a]", &"a".repeat(101)] {
            assert!(key_prefix(bad).is_err(), "{bad}");
        }
        assert!(word("1.2.3-rc1").is_ok());
        for bad in ["", "a b", "a\u{7}", &"ä".repeat(101)] {
            assert!(word(bad).is_err(), "{bad}");
        }
    }
}
