//! The pace and the patience of the load.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

/// How long a caller tries before it gives up. Then it is unknown whether the request was accepted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits about `mean_s` seconds. Returns false if it is time to stop.
pub(crate) async fn pause(mean_s: f64, dice: &mut StdRng, stop: &CancellationToken) -> bool {
    let wait = Duration::from_secs_f64(mean_s * dice.random_range(0.2..1.8));
    tokio::time::timeout(wait, stop.cancelled()).await.is_err()
}
