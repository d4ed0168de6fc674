//! The phones of the simulated WhatsApp, and what its server recorded, through its admin API.

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Answer, Http, field};

/// A client for the phones.
#[derive(Clone)]
pub struct Phones(Http);

impl Phones {
    /// A client for the simulator with this admin API, for example `http://127.0.0.1:7700/admin`.
    #[must_use]
    pub fn new(admin: &str) -> Self {
        Self(Http::new(admin, None))
    }

    /// Makes a call that must succeed.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.0.call(method, path, body.as_ref()).await
    }

    /// Creates a phone with this number and name.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn add(&self, number: &str, name: &str) -> anyhow::Result<()> {
        self.0.post("/phones", json!({"number": number, "name": name})).await.map(drop)
    }

    /// The current state of a phone: its linked devices and open sockets.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn phone(&self, number: &str) -> anyhow::Result<Value> {
        self.0.get(&format!("/phones/{number}")).await
    }

    /// Creates a group and returns its address.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn group(&self, subject: &str, owner: &str, members: &[String]) -> anyhow::Result<String> {
        let group = json!({"subject": subject, "owner": owner, "members": members});
        field(&self.0.post("/groups", group).await?, "jid")
    }

    /// Lets a phone scan a code, and returns the simulator's answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn scan(&self, number: &str, code: &str) -> anyhow::Result<Answer> {
        let path = format!("/mock-phone/scan-qr?phone={number}");
        Answer::take(self.0.request(Method::POST, &path).body(code.to_owned())).await
    }

    /// The messages that a phone shows.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn inbox(&self, number: &str) -> anyhow::Result<Vec<Value>> {
        let shown = self.0.get(&format!("/phones/{number}/inbox")).await?;
        Ok(shown.as_array().context("an inbox is a list")?.clone())
    }

    /// Switches a fault on, and returns how many sockets it affected at once.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn fault(&self, order: Value) -> anyhow::Result<u64> {
        Ok(self.0.post("/faults", order).await?["fired"].as_u64().unwrap_or(0))
    }

    /// All logins, by device.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn audit(&self) -> anyhow::Result<Value> {
        self.0.get("/audit").await
    }
}
