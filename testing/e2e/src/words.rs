//! Words to use a cluster with: what a tenant asks of the api, what phones do, and waiting for what comes of it.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kit::contract::{self, Contract};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{Cluster, DEADLINE};

/// What the document promises of every answer.
static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::of(serde_json::to_value(api::document()).unwrap()));

impl Cluster {
    /// A tenant with a key of its own; answers the key.
    pub async fn tenant(&self) -> String {
        let admin = api::auth::generate(None);
        let (store, by) = (store::Store::from(self.pool.clone()), store::audit::Operator::System("test"));
        let digest = api::auth::digest(&admin);
        store::api_keys::create_for_admin(store.for_all_tenants(), "test", &digest, by).await.unwrap();
        let tenant = self.call_as(&admin, Method::POST, "/v1/tenants", Some(json!({"name": "Acme"}))).await;
        let id = tenant.1["id"].as_str().unwrap();
        let key =
            self.call_as(&admin, Method::POST, &format!("/v1/tenants/{id}/keys"), Some(json!({"name": "test"}))).await;
        key.1["secret"].as_str().unwrap().to_owned()
    }

    /// A number that no other test of this cluster has.
    pub fn number(&self) -> String {
        self.numbers.fetch_add(1, Ordering::Relaxed).to_string()
    }

    pub(crate) async fn call_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.api);
        // the api may still be opening its pool
        for _ in 0..100 {
            let mut request = self.http.request(method.clone(), &url).bearer_auth(key);
            if let Some(body) = &body {
                request = request.json(body);
            }
            match request.send().await {
                Ok(answer) => {
                    let status = answer.status();
                    let headers = answer.headers().clone();
                    let content_type = headers.get("content-type").map(|value| value.to_str().unwrap());
                    let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
                    let text = answer.text().await.unwrap();
                    let said = contract::Answer {
                        method: method.as_str(),
                        path: path.split('?').next().unwrap_or_default(),
                        status: status.as_u16(),
                        content_type: content_type.unwrap_or_default(),
                        headers: &names,
                        body: text.as_bytes(),
                    };
                    CONTRACT.check(said).unwrap();
                    return (status, serde_json::from_str(&text).unwrap_or(Value::String(text)));
                }
                Err(error) if error.is_connect() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the api never listened");
    }

    /// Calls the api with the tenant's key.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.call_as(&self.key, method, path, body).await
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A `GET` that must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, None).await
    }

    /// A `POST` that must succeed.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ok(Method::POST, path, Some(body)).await
    }

    /// A `GET` with the tenant's key, to be sent.
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("http://{}{path}", self.api)).bearer_auth(&self.key)
    }

    /// Bytes and content type of a `GET`.
    pub async fn raw(&self, path: &str) -> (StatusCode, reqwest::header::HeaderMap, Vec<u8>) {
        let url = format!("http://{}{path}", self.api);
        let answer = self.http.get(url).bearer_auth(&self.key).send().await.unwrap();
        (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
    }

    /// Calls the simulator's admin API.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.simulator.admin_url());
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A phone that exists.
    pub async fn phone(&self, name: &str) -> String {
        let number = self.number();
        self.admin(Method::POST, "/phones", Some(json!({"number": number, "name": name}))).await;
        number
    }

    /// What a phone shows.
    pub async fn inbox(&self, number: &str) -> Vec<Value> {
        self.admin(Method::GET, &format!("/phones/{number}/inbox"), None).await.as_array().unwrap().clone()
    }

    /// A phone scans a code.
    pub async fn scan(&self, number: &str, code: &str) -> (StatusCode, String) {
        let url = format!("{}/mock-phone/scan-qr?phone={number}", self.simulator.admin_url());
        let answer = self.http.post(url).body(code.to_owned()).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// A new account; answers its id.
    pub async fn account(&self, label: &str) -> String {
        self.post("/v1/accounts", json!({"label": label})).await["id"].as_str().unwrap().to_owned()
    }

    /// The QR text that is shown now.
    pub async fn qr(&self, account: &str) -> String {
        self.until("a QR code", async || {
            let (status, _, bytes) = self.raw(&format!("/v1/accounts/{account}/qr?format=text")).await;
            (status == StatusCode::OK).then(|| String::from_utf8(bytes).unwrap().trim().to_owned())
        })
        .await
    }

    /// Waits for a status.
    pub async fn status(&self, account: &str, wanted: &str) {
        self.until(wanted, async || {
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

    /// A connected account and its phone.
    pub async fn connected(&self, label: &str) -> (String, String) {
        let number = self.phone(label).await;
        let account = self.account(label).await;
        self.pair(&account, &number).await;
        (account, number)
    }

    /// Queues a text; answers its id.
    pub async fn send(&self, account: &str, to: &str, text: &str) -> String {
        let answer = self.post(&format!("/v1/accounts/{account}/messages"), json!({"to": to, "text": text})).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// As [`Cluster::send`], by a caller that traces.
    pub async fn send_traced(&self, account: &str, to: &str, text: &str, traceparent: &str) -> String {
        let url = format!("http://{}/v1/accounts/{account}/messages", self.api);
        let request = self.http.post(url).bearer_auth(&self.key).header("traceparent", traceparent);
        let answer = request.json(&json!({"to": to, "text": text})).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert!(answer.headers().get("traceparent").is_none(), "a caller has its own");
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a message has come this far.
    pub async fn message(&self, id: &str, state: &str) -> Value {
        self.until(state, async || {
            let now = self.get(&format!("/v1/messages/{id}")).await;
            (now["state"] == state).then_some(now)
        })
        .await
    }

    /// Waits until a phone shows these texts, and answers all that it shows.
    pub async fn shows(&self, number: &str, texts: &[&str]) -> Vec<Value> {
        self.until(texts, async || {
            let inbox = self.inbox(number).await;
            texts.iter().all(|text| inbox.iter().any(|m| m["text"] == *text)).then_some(inbox)
        })
        .await
    }

    /// How many sockets of one device were ever open together.
    pub async fn overlaps(&self) -> u64 {
        self.admin(Method::GET, "/audit", None).await["overlap_count"].as_u64().unwrap()
    }

    /// The sockets that a phone's companion devices ever opened, oldest first.
    pub async fn sockets(&self, number: &str) -> Vec<Value> {
        let audit = self.admin(Method::GET, &format!("/audit?number={number}"), None).await;
        let devices = audit["devices"].as_array().unwrap();
        devices.iter().flat_map(|device| device["sockets"].as_array().unwrap().clone()).collect()
    }

    /// Asks again until there is an answer.
    pub async fn until<T>(&self, what: impl Debug, ask: impl AsyncFn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain for {what:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
