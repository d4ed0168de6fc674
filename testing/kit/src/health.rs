//! The ops port of a process.

use std::net::SocketAddr;

use crate::http::Http;
use crate::wait::{DEADLINE, reach};

/// Returns status and text of a `GET` at an ops port.
///
/// # Panics
/// If there is no answer.
pub async fn health(ops: SocketAddr, path: &str) -> (u16, String) {
    let answer = Http::new(&format!("http://{ops}"), None).ask(reqwest::Method::GET, path, None).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error:#}"));
    (answer.status.as_u16(), answer.text())
}

/// Waits until `/readyz` has this status and contains these words, and returns its text. `/livez` must succeed all the
/// time.
///
/// # Panics
/// If `/livez` fails, or `/readyz` does not get there in time.
pub async fn reads(ops: SocketAddr, status: u16, words: &str) -> String {
    let asked = || async {
        assert_eq!(health(ops, "/livez").await, (200, "ok\n".to_owned()));
        let (found, text) = health(ops, "/readyz").await;
        Ok(if found == status && text.contains(words) { Ok(text) } else { Err(format!("{found} {text}")) })
    };
    reach(format!("{status} {words:?}"), DEADLINE, asked).await.unwrap_or_else(|error| panic!("{error:#}"))
}
