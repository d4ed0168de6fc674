//! A client of the api under faults. It decides what is tried again and what must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kit::Phones;
use kit::http::{Answer, Http, Refused};
use reqwest::Method;
use serde_json::{Value, json};

use crate::part::Part;

/// The limit of one try, so that a server that is frozen or cut off does not block the load.
const TRY: Duration = Duration::from_secs(5);
/// The limit of one try of a request that must not be carried out late, after the caller has gone on. It is longer than
/// any fault, so the try ends with its answer or with its server.
const LONG_TRY: Duration = Duration::from_secs(60);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The api, through all running processes of it.
#[derive(Clone)]
pub(crate) struct Gateway(Http);

impl Gateway {
    /// Uses these processes in turn, each at the address of its latest boot.
    pub(crate) fn new(apis: Vec<Arc<Part>>, key: &str) -> Self {
        let turn = AtomicUsize::new(0);
        let next = move || apis.get(turn.fetch_add(1, Ordering::Relaxed) % apis.len().max(1)).map(|api| api.url());
        Self(Http::over(move || next().unwrap_or_default(), Some(key)))
    }

    /// The same client with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self(self.0.with_key(key))
    }

    /// Makes one try at the next process. Returns the answer, whatever its status.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        self.try_for(TRY, method, path, body, once).await
    }

    async fn try_for(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let mut request = self.0.request(method, path).timeout(limit);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(once) = once {
            request = request.header("Idempotency-Key", once);
        }
        let answer = Answer::take(request).await?;
        Ok((answer.status.as_u16(), answer.text()))
    }

    /// Tries until there is an answer below 500; a refusal (4xx) is one. `Err` means that there was none in time, and
    /// it is unknown whether the request was carried out.
    pub(crate) async fn insist(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
        limit: Duration,
    ) -> anyhow::Result<(u16, Value)> {
        let start = Instant::now();
        let harmless = method == Method::GET || once.is_some();
        let each = if harmless { TRY } else { LONG_TRY };
        loop {
            let why = match self.try_for(each, method.clone(), path, body, once).await {
                Ok((status, text)) if status < 500 => {
                    return Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))));
                }
                Ok((status, text)) => format!("{status} {text}"),
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() > limit {
                bail!("{method} {path}: {why}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// As [`Gateway::insist`], but a refusal is an error.
    pub(crate) async fn demand(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.insist(method.clone(), path, body, None, limit).await?;
        if status >= 300 {
            return Err(Refused { status, words: format!("{method} {path}: {answer}") }.into());
        }
        Ok(answer)
    }

    /// Creates an account and returns its id.
    pub(crate) async fn account(&self, label: &str) -> anyhow::Result<String> {
        let made =
            self.demand(Method::POST, "/v1/accounts", Some(&json!({"label": label})), Duration::from_secs(30)).await?;
        Ok(made["id"].as_str().context("an account without an id")?.to_owned())
    }

    /// The account's status.
    pub(crate) async fn status(&self, account: &str) -> anyhow::Result<String> {
        let row = self.demand(Method::GET, &format!("/v1/accounts/{account}"), None, Duration::from_secs(30)).await?;
        Ok(row["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Pairs an account with a phone, once. Returns whether it was `connected` within `limit`.
    pub(crate) async fn pair(
        &self,
        phones: &Phones,
        account: &str,
        number: &str,
        limit: Duration,
    ) -> anyhow::Result<bool> {
        let start = Instant::now();
        let path = format!("/v1/accounts/{account}/pair");
        let (status, answer) = self.insist(Method::POST, &path, Some(&json!({"method": "qr"})), None, limit).await?;
        if status == 409 && self.status(account).await? == "connected" {
            return Ok(true);
        }
        if status >= 300 {
            return Err(Refused { status, words: format!("{path}: {answer}") }.into());
        }
        let mut scanned = String::new();
        while start.elapsed() < limit {
            match self.status(account).await?.as_str() {
                "connected" => return Ok(true),
                "pending" => {
                    let qr = self.ask(Method::GET, &format!("/v1/accounts/{account}/qr?format=text"), None, None).await;
                    if let Ok((200, code)) = qr
                        && code != scanned
                        && phones.scan(number, code.trim()).await.is_ok_and(|answer| answer.status.is_success())
                    {
                        scanned = code;
                    }
                }
                // the pairing ended meanwhile; the caller may start a new one
                "unpaired" | "logged_out" => return Ok(false),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(false)
    }
}
