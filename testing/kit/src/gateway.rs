//! A client of the api for tests. It compares every answer with the OpenAPI document.

use std::sync::OnceLock;

use domain::id::TenantId;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::contract::{self, Contract};
use crate::http::{Answer, Http};

/// The contract for every answer, shared by the whole test binary.
static CONTRACT: OnceLock<Contract> = OnceLock::new();

/// From now on every answer is compared with this OpenAPI document.
pub fn promise(document: impl FnOnce() -> Value) {
    CONTRACT.get_or_init(|| Contract::of(document()));
}

/// A client of the api, with or without a key. A call without an answer panics.
#[derive(Clone)]
pub struct Gateway {
    http: Http,
    /// The tenant of the key, if it is a tenant's.
    pub tenant: Option<TenantId>,
}

impl Gateway {
    /// A client for this address, for example `http://127.0.0.1:8080`, with or without a key.
    #[must_use]
    pub fn new(base: &str, key: Option<&str>) -> Self {
        Self { http: Http::new(base, key), tenant: None }
    }

    /// Creates a tenant and a key, and returns a client with that key. Needs an admin key.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn tenant(&self, name: &str) -> Self {
        let tenant = self.post("/v1/tenants", json!({"name": name})).await.expect(201);
        let keys = format!("/v1/tenants/{}/keys", tenant.id());
        let key = self.post(&keys, json!({"name": "test"})).await.expect(201).json();
        let secret = key["secret"].as_str().unwrap_or_default();
        Self { http: self.http.with_key(secret), tenant: tenant.id().parse().ok() }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.http.key()
    }

    /// A request with the key. The caller completes it and gives it to [`Answer::of`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, path)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    /// `POST` without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(&body)).await
    }

    /// `PATCH`.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(&body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Adds an account and returns its id.
    pub async fn account(&self, label: &str) -> String {
        self.post("/v1/accounts", json!({"label": label})).await.expect(201).id()
    }
}

/// What tests read from an answer.
impl Answer {
    /// Sends a request. Compares the answer with the OpenAPI document (R77) if [`promise`] was called.
    ///
    /// # Panics
    /// If there is no answer, or the document does not describe it.
    pub async fn of(request: RequestBuilder) -> Self {
        let answer = Self::take(request).await.unwrap_or_else(|error| panic!("{error:#}"));
        if let Some(contract) = CONTRACT.get() {
            let (method, path) = answer.asked.split_once(' ').unwrap_or_default();
            let headers: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
            let said = contract::Answer {
                method,
                path,
                status: answer.status.as_u16(),
                content_type: answer.header("content-type"),
                headers: &headers,
                body: &answer.bytes,
            };
            contract.check(said).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        answer
    }

    /// Checks the status. An answer from 400 on must be a problem document with the same status.
    ///
    /// # Panics
    /// If the status differs. The message has the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.asked, self.text());
        if status >= 400 {
            assert_eq!(self.header("content-type"), "application/problem+json");
            assert_eq!(self.json()["status"], status);
        }
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is no JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.text()))
    }

    /// The id of the object that was created or read.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    #[must_use]
    pub fn id(&self) -> String {
        let id = self.json()["id"].as_str().map(str::to_owned);
        id.unwrap_or_else(|| panic!("{}: no id: {}", self.asked, self.text()))
    }

    /// The fields that a problem document names.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().into_iter().flatten();
        errors.filter_map(|error| error["field"].as_str().map(str::to_owned)).collect()
    }

    /// The problem's type without its prefix.
    #[must_use]
    pub fn problem(&self) -> String {
        let body = self.json();
        body["type"].as_str().unwrap_or_default().trim_start_matches("urn:switchboard:problem:").to_owned()
    }
}
