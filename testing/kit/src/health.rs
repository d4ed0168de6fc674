//! What a process says of itself on its ops port.

use std::net::SocketAddr;

use crate::http::Http;
use crate::wait::{DEADLINE, reach};

/// Status and text of a `GET` at an ops port.
///
/// # Panics
/// When nobody answers.
pub async fn health(ops: SocketAddr, path: &str) -> (u16, String) {
    let answer = Http::new(&format!("http://{ops}"), None).ask(reqwest::Method::GET, path, None).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error:#}"));
    (answer.status.as_u16(), answer.text())
}

/// Waits until the readiness of a process that lives all the while has this status and says these words; answers all that it
/// says.
///
/// # Panics
/// When it does not live, or does not come to that.
pub async fn reads(ops: SocketAddr, status: u16, words: &str) -> String {
    let asked = || async {
        assert_eq!(health(ops, "/livez").await, (200, "ok\n".to_owned()));
        let (found, text) = health(ops, "/readyz").await;
        Ok(if found == status && text.contains(words) { Ok(text) } else { Err(format!("{found} {text}")) })
    };
    reach(format!("{status} {words:?}"), DEADLINE, asked).await.unwrap_or_else(|error| panic!("{error:#}"))
}
