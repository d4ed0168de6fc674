//! What tenants hear while the api starts: 503 and when to come again, instead of a connection that hangs. A start that takes
//! a moment only keeps them waiting for that moment.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use process::door::{self, Limits};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// A start that takes longer is spoken of.
const MOMENT: Duration = Duration::from_secs(3);
/// For requests that have come already.
const LAST: Duration = Duration::from_secs(1);

/// Serves that, on the same port, until it is ended.
pub(crate) struct Meanwhile {
    over: CancellationToken,
    serving: JoinHandle<()>,
}

impl Meanwhile {
    /// Answers what has come already, and lets go of the port.
    pub(crate) async fn end(mut self) {
        self.over.cancel();
        if tokio::time::timeout(LAST, &mut self.serving).await.is_err() {
            self.serving.abort(); // a client that has begun a request and goes on with nothing
        }
    }
}

/// Begins; answers the listener for what follows.
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
