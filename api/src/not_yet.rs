//! The answer to tenants while the API starts: 503 and when to try again, instead of a connection that hangs. If the
//! start takes only a moment, requests just wait for it.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use process::door::{self, Limits};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// How long requests wait before they get a 503.
const MOMENT: Duration = Duration::from_secs(3);
/// The time for requests that have begun already.
const LAST: Duration = Duration::from_secs(1);

/// Serves that answer on the same port, until it is ended.
pub(crate) struct Meanwhile {
    over: CancellationToken,
    serving: JoinHandle<()>,
}

impl Meanwhile {
    /// Answers the requests that have come already, and releases the port.
    pub(crate) async fn end(mut self) {
        self.over.cancel();
        if tokio::time::timeout(LAST, &mut self.serving).await.is_err() {
            self.serving.abort(); // a client may have begun a request and then sent nothing
        }
    }
}

/// Begins to answer. Returns the listener for the API.
pub(crate) fn serve(listener: TcpListener, limits: Limits) -> std::io::Result<(TcpListener, Meanwhile)> {
    let listener = listener.into_std()?;
    let same = TcpListener::from_std(listener.try_clone()?)?;
    let over = CancellationToken::new();
    let app = Router::new().fallback(starting);
    let begun = over.clone();
    let serving = tokio::spawn(async move {
        if begun.run_until_cancelled(tokio::time::sleep(MOMENT)).await.is_some() {
            door::serve(same, app, limits, begun).await;
        }
    });
    Ok((TcpListener::from_std(listener)?, Meanwhile { over, serving }))
}

async fn starting() -> Response {
    let mut answer = Problem::Unavailable.into_response();
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
