//! The calls that tests make: to the api, to the phones, and waiting for their effects.
#![allow(clippy::unwrap_used, reason = "test support: a failure is a panic")]

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::Answer;
use crate::phones::Phones;
use crate::wait::until;

/// A tenant's access to the gateway, and the phones that its accounts are linked with. Every failure is a panic.
pub struct Scene {
    /// The api, with the tenant's key.
    pub gateway: Gateway,
    /// The phones.
    pub phones: Phones,
    numbers: AtomicU64,
}

impl Scene {
    /// A scene whose new phones get numbers from `first` on.
    #[must_use]
    pub fn new(gateway: Gateway, phones: Phones, first: u64) -> Self {
        Self { gateway, phones, numbers: AtomicU64::new(first) }
    }

    /// A number that nothing else in this scene uses.
    pub fn number(&self) -> String {
        self.numbers.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Calls the api with the tenant's key. Returns status and body, which is a string if it is no JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.gateway.request(method, path);
        let answer = Answer::of(if let Some(body) = body { request.json(&body) } else { request }).await;
        (answer.status, serde_json::from_slice(&answer.bytes).unwrap_or(Value::String(answer.text())))
    }

    /// Makes a call that must succeed.
    pub async fn ok(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Makes a `GET` that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, None).await
    }

    /// Makes a `POST` that must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, Some(body)).await
    }

    /// A `GET` with the tenant's key. The caller sends it.
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.gateway.request(Method::GET, path)
    }

    /// Returns status, headers and bytes of a `GET`.
    pub async fn raw(&self, path: &str) -> (StatusCode, reqwest::header::HeaderMap, Vec<u8>) {
        let answer = self.gateway.get(path).await;
        (answer.status, answer.headers, answer.bytes)
    }

    /// Calls the simulator's admin API.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.phones.call(method, path, body).await.unwrap()
    }

    /// Creates a phone and returns its number.
    pub async fn phone(&self, name: &str) -> String {
        let number = self.number();
        self.phones.add(&number, name).await.unwrap();
        number
    }

    /// The messages that a phone shows.
    pub async fn inbox(&self, number: &str) -> Vec<Value> {
        self.phones.inbox(number).await.unwrap()
    }

    /// Lets a phone scan a code. Returns status and text of the simulator's answer.
    pub async fn scan(&self, number: &str, code: &str) -> (StatusCode, String) {
        let answer = self.phones.scan(number, code).await.unwrap();
        (answer.status, answer.text())
    }

    /// Creates an account and returns its id.
    pub async fn account(&self, label: &str) -> String {
        self.gateway.account(label).await
    }

    /// Waits for a QR code, and returns its text.
    pub async fn qr(&self, account: &str) -> String {
        until("a QR code", async || {
            let (status, _, bytes) = self.raw(&format!("/v1/accounts/{account}/qr?format=text")).await;
            (status == StatusCode::OK).then(|| String::from_utf8(bytes).unwrap().trim().to_owned())
        })
        .await
    }

    /// Waits until the account has this status.
    pub async fn status(&self, account: &str, wanted: &str) {
        until(wanted, async || {
            let now = self.get(&format!("/v1/accounts/{account}")).await;
            (now["status"] == wanted).then_some(())
        })
        .await;
    }

    /// Pairs an account with a phone, from the request to `connected`.
    pub async fn pair(&self, account: &str, number: &str) {
        self.post(&format!("/v1/accounts/{account}/pair"), json!({"method": "qr"})).await;
        let code = self.qr(account).await;
        let (status, text) = self.scan(number, &code).await;
        assert!(status.is_success(), "{status} {text}");
        self.status(account, "connected").await;
    }

    /// Creates an account and a phone, and pairs them. Returns the account's id and the phone's number.
    pub async fn connected(&self, label: &str) -> (String, String) {
        let number = self.phone(label).await;
        let account = self.account(label).await;
        self.pair(&account, &number).await;
        (account, number)
    }

    /// Queues a text and returns the message's id.
    pub async fn send(&self, account: &str, to: &str, text: &str) -> String {
        let answer = self.post(&format!("/v1/accounts/{account}/messages"), json!({"to": to, "text": text})).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// As [`Scene::send`], from a caller that sends a `traceparent`.
    pub async fn send_traced(&self, account: &str, to: &str, text: &str, traceparent: &str) -> String {
        let request = self.gateway.request(Method::POST, &format!("/v1/accounts/{account}/messages"));
        let request = request.header("traceparent", traceparent).json(&json!({"to": to, "text": text}));
        let answer = Answer::of(request).await.expect(202);
        assert_eq!(answer.header("traceparent"), "", "a caller has its own");
        answer.id()
    }

    /// Waits until a message has this state.
    pub async fn message(&self, id: &str, state: &str) -> Value {
        until(state, async || {
            let now = self.get(&format!("/v1/messages/{id}")).await;
            (now["state"] == state).then_some(now)
        })
        .await
    }

    /// Waits until a phone shows these texts, and returns all its messages.
    pub async fn shows(&self, number: &str, texts: &[&str]) -> Vec<Value> {
        until(texts, async || {
            let inbox = self.inbox(number).await;
            texts.iter().all(|text| inbox.iter().any(|m| m["text"] == *text)).then_some(inbox)
        })
        .await
    }

    /// How often a device had more than one socket open at a time.
    pub async fn overlaps(&self) -> u64 {
        self.phones.audit().await.unwrap()["overlap_count"].as_u64().unwrap()
    }

    /// All sockets that a phone's companion devices have opened, oldest first.
    pub async fn sockets(&self, number: &str) -> Vec<Value> {
        let audit = self.admin(Method::GET, &format!("/audit?number={number}"), None).await;
        let devices = audit["devices"].as_array().unwrap();
        devices.iter().flat_map(|device| device["sockets"].as_array().unwrap().clone()).collect()
    }
}
