//! A simulator in this process, and its admin API as a client sees it.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Config, Simulator};

use crate::client::{DEADLINE, Store, TestClient};

pub(crate) struct Simulation {
    pub(crate) simulator: Simulator,
    http: reqwest::Client,
}

impl Simulation {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self { simulator: simulator::start(config).await.unwrap(), http: reqwest::Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.admin_url())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(self.url(path)).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.patch(self.url(path)).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn delete(&self, path: &str) -> u16 {
        let answer = self.http.delete(self.url(path)).send().await.unwrap();
        answer.status().as_u16()
    }

    /// Posts what must be accepted.
    pub(crate) async fn make(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    pub(crate) async fn scan(&self, number: &str, qr: &str) -> (u16, Value) {
        let url = self.url(&format!("/mock-phone/scan-qr?phone={number}"));
        let request = self.http.post(url).body(qr.to_owned());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Lets the simulator choose the phone that scans.
    pub(crate) async fn scan_any(&self, qr: &str) -> Value {
        let url = self.url("/mock-phone/scan-qr");
        let answer = self.http.post(url).body(qr.to_owned()).send().await.unwrap();
        answer.json().await.unwrap()
    }

    pub(crate) async fn fault(&self, order: Value) -> Value {
        self.make("/faults", order).await
    }

    /// How often the only fault has fired.
    pub(crate) async fn fired(&self) -> u64 {
        self.get("/faults").await[0]["fired"].as_u64().unwrap()
    }

    /// A new client that is linked to `number` and connected.
    pub(crate) async fn linked(&self, number: &str) -> TestClient {
        let mut client = Store::new().connect(self.simulator.addr).await;
        let qr = client.qr().await;
        let (status, linked) = self.scan(number, &qr).await;
        assert_eq!(status, 200, "{linked}");
        client.connected().await;
        client
    }

    /// The bubble `id` in a phone's inbox, once it is there.
    pub(crate) async fn bubble(&self, number: &str, id: &str) -> Value {
        self.bubble_when(number, id, |_| true).await
    }

    pub(crate) async fn bubble_when(&self, number: &str, id: &str, good: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/phones/{number}/inbox");
        self.until(&path, |inbox| {
            let bubbles = inbox.as_array()?;
            bubbles.iter().find(|b| b["id"] == id && good(b)).cloned()
        })
        .await
    }

    /// Asks until the answer is good.
    pub(crate) async fn until<T>(&self, path: &str, good: impl Fn(&Value) -> Option<T>) -> T {
        let started = tokio::time::Instant::now();
        loop {
            let answer = self.get(path).await;
            if let Some(found) = good(&answer) {
                return found;
            }
            assert!(started.elapsed() < DEADLINE, "never good: {path} {answer}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn send(&self, number: &str, to: &str, text: &str) -> String {
        let body = json!({ "to": to, "text": text });
        let sent = self.make(&format!("/phones/{number}/send"), body).await;
        sent["id"].as_str().unwrap().to_owned()
    }
}

/// The address of a number.
pub(crate) fn jid(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}
