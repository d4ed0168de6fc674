//! A small JSON client whose errors say what was asked, what was expected and what came.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// A server, and the key to it if it wants one.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl Http {
    pub(crate) fn new(base: &str, key: Option<&str>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        Ok(Self { client, base: base.to_owned(), key: key.map(str::to_owned) })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        json(path, &self.text(Method::GET, path, None).await?)
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        json(path, &self.text(Method::POST, path, Some(body.to_string())).await?)
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> anyhow::Result<()> {
        self.text(Method::POST, path, Some(body.to_owned())).await.map(drop)
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.text(Method::DELETE, path, None).await.map(drop)
    }

    /// A text that may not be there yet.
    pub(crate) async fn get_text(&self, path: &str) -> anyhow::Result<Option<String>> {
        match self.send(Method::GET, path, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, text) if status.is_success() => Ok(Some(text)),
            (status, text) => bail!("GET {path}: expected a text, got {status}: {text}"),
        }
    }

    /// Whether a GET answers 2xx; "no" also while nobody listens.
    pub(crate) async fn is_ok(&self, path: &str) -> Result<(), String> {
        match self.send(Method::GET, path, None).await {
            Ok((status, _)) if status.is_success() => Ok(()),
            Ok((status, text)) => Err(format!("{status} {}", text.trim())),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn text(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<String> {
        let (status, text) = self.send(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path}: expected success, got {status}: {text}");
        }
        Ok(text)
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<(StatusCode, String)> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.with_context(|| format!("{method} {}{path}", self.base))?;
        let status = response.status();
        Ok((status, response.text().await?))
    }
}

fn json(path: &str, text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).with_context(|| format!("{path}: expected JSON, got: {text}"))
}

/// A text field that must be there.
pub(crate) fn field(value: &Value, name: &str) -> anyhow::Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("expected a text field {name:?}, got: {value}"))
}
