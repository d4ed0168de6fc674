//! A JSON client whose errors contain the request, what was expected and what was received.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns the address of the server for the next request.
type Next = Arc<dyn Fn() -> String + Send + Sync>;

/// A client with a key, if the server needs one.
#[derive(Clone)]
pub struct Http {
    client: Client,
    next: Next,
    key: Option<Arc<str>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request, for example `GET /v1/accounts`.
    pub asked: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
}

/// A refusal: an answer with a status other than 2xx.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The request, and the answer's body.
    pub words: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected success, got {}: {}", self.status, self.words)
    }
}

impl std::error::Error for Refused {}

impl Http {
    /// A client for this address, for example `http://127.0.0.1:8080`, with or without a key.
    #[must_use]
    pub fn new(base: &str, key: Option<&str>) -> Self {
        let base = base.to_owned();
        Self::over(move || base.clone(), key)
    }

    /// A client for several equal servers. `next` returns the address for each request.
    ///
    /// # Panics
    /// If the client can't be made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "nothing of it depends on the machine")]
    pub fn over(next: impl Fn() -> String + Send + Sync + 'static, key: Option<&str>) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { client, next: Arc::new(next), key: key.map(Arc::from) }
    }

    /// The same client with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(Arc::from(key)), ..self.clone() }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// A request with the key. The caller completes and sends it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", (self.next)()));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends a request and returns any answer, even a refusal.
    ///
    /// # Errors
    /// If there is no answer within a minute.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let request = self.request(method, path).timeout(LIMIT);
        Answer::take(if let Some(body) = body { request.json(body) } else { request }).await
    }

    /// Makes a call that must succeed. Returns the JSON of the answer, or null if the body is empty.
    ///
    /// # Errors
    /// [`Refused`] if it is refused; otherwise if there is no answer, or the body is no JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.ask(method, path, body).await?.success()?.value()
    }

    /// A `GET` that must succeed.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// A `POST` that must succeed.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// A `DELETE` that must succeed.
    ///
    /// # Errors
    /// As [`Http::call`].
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, None).await
    }

    /// Returns a text, or `None` if it does not exist yet.
    ///
    /// # Errors
    /// As [`Http::call`]; 404 is no error.
    pub async fn get_text(&self, path: &str) -> anyhow::Result<Option<String>> {
        let answer = self.ask(Method::GET, path, None).await?;
        Ok(if answer.status == StatusCode::NOT_FOUND { None } else { Some(answer.success()?.text()) })
    }

    /// Checks that a `GET` is answered with 2xx.
    ///
    /// # Errors
    /// The status and text of another answer, or that there was none.
    pub async fn is_ok(&self, path: &str) -> Result<(), String> {
        match self.ask(Method::GET, path, None).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.text().trim())),
            Err(_) => Err("no answer".to_owned()),
        }
    }
}

impl Answer {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn take(request: RequestBuilder) -> anyhow::Result<Self> {
        let (client, request) = request.build_split();
        let request = request?;
        let asked = format!("{} {}", request.method(), request.url().path());
        let url = request.url().to_string();
        let response = client.execute(request).await.with_context(|| format!("asking {url}"))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { asked, status, headers, bytes: response.bytes().await?.to_vec() })
    }

    /// Returns the answer if its status is 2xx.
    ///
    /// # Errors
    /// [`Refused`] otherwise.
    pub fn success(self) -> Result<Self, Refused> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(Refused { status: self.status.as_u16(), words: format!("{}: {}", self.asked, self.text()) })
    }

    /// The body as JSON; null if it is empty.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn value(&self) -> anyhow::Result<Value> {
        if self.bytes.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.bytes)
            .with_context(|| format!("{}: expected JSON, got: {}", self.asked, self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The value of a header; empty if it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A required text field.
///
/// # Errors
/// If it is missing, or no text.
pub fn field(value: &Value, name: &str) -> anyhow::Result<String> {
    let Some(text) = value[name].as_str() else { bail!("expected a text field {name:?}, got: {value}") };
    Ok(text.to_owned())
}
