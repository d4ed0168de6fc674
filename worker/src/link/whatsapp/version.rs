//! The version of WhatsApp Web that we report: the configured one, otherwise the fetched one, otherwise the built-in
//! one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::http;

/// Reported if no version is configured and none could be fetched. It ages: WhatsApp refuses versions that are too old
/// (`CloseReason::Outdated`).
pub const BUILT_IN: (u32, u32, u32) = (2, 3000, 1_042_742_319);

const HOST: &str = "web.whatsapp.com";
const PATH: &str = "/sw.js";
/// How long a fetched version is used.
const FRESH: Duration = Duration::from_hours(12);
/// How long no fetch is tried after one failed.
const PAUSE: Duration = Duration::from_mins(10);

/// The version in use, shared by all links of the process.
#[derive(Debug)]
pub struct WebVersion {
    configured: Option<(u32, u32, u32)>,
    fetched: Mutex<Option<(u32, u32, u32)>>,
    next_fetch: tokio::sync::Mutex<Option<Instant>>,
}

impl WebVersion {
    /// Always this version.
    #[must_use]
    pub fn fixed(version: (u32, u32, u32)) -> Self {
        Self { configured: Some(version), ..Self::fetched() }
    }

    /// Fetches the current version from WhatsApp when it is first needed, and then twice a day.
    #[must_use]
    pub fn fetched() -> Self {
        Self { configured: None, fetched: Mutex::new(None), next_fetch: tokio::sync::Mutex::new(None) }
    }

    /// Parses `2.3000.N`.
    ///
    /// # Errors
    /// If it is not three numbers joined by dots.
    pub fn parse(text: &str) -> Result<Self, MalformedVersion> {
        let mut parts = text.trim().split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(first)), Some(Ok(second)), Some(Ok(third)), None) => Ok(Self::fixed((first, second, third))),
            _ => Err(MalformedVersion),
        }
    }

    /// The version to report now. Fetches it if that is due, which takes a few seconds at most; links that open
    /// meanwhile wait for it.
    pub async fn current(&self) -> (u32, u32, u32) {
        if let Some(version) = self.configured {
            return version;
        }
        let mut next = self.next_fetch.lock().await;
        if next.is_none_or(|at| at <= Instant::now()) {
            let wait = match fetch().await {
                Ok(version) => {
                    tracing::info!(version = ?version, "whatsapp.version_fetched");
                    *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
                    FRESH
                }
                Err(error) => {
                    tracing::warn!(error = %error, "whatsapp.version_not_fetched");
                    PAUSE
                }
            };
            *next = Some(Instant::now() + wait);
        }
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(BUILT_IN)
    }
}

async fn fetch() -> anyhow::Result<(u32, u32, u32)> {
    let script = http::get(HOST, PATH).await?;
    wacore::version::parse_sw_js(&script)
        .filter(|(_, _, revision)| *revision > 0)
        .ok_or_else(|| anyhow::anyhow!("the page names no version"))
}

/// Not of the form `2.3000.N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a WhatsApp version has the form 2.3000.N")]
pub struct MalformedVersion;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_configured_version_is_used_as_it_is() {
        let version = WebVersion::parse("2.3000.1023").unwrap();
        assert_eq!(version.current().await, (2, 3000, 1023));
        for text in ["", "2", "2.3000", "2.3000.x", "2.3000.1.4"] {
            assert_eq!(WebVersion::parse(text).unwrap_err(), MalformedVersion);
        }
    }
}
