//! Closes all sockets at once.

use std::time::Duration;

use crate::socket::{Command, Ending};
use crate::sync::lock;
use crate::world::World;

/// How long sockets, and phones that are still reading, may take when the simulator stops.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Closes every socket and waits until they are gone.
pub(crate) async fn drop_sockets(world: &World, reason: &str) {
    let sockets: Vec<_> = lock(&world.sockets).values().cloned().collect();
    for socket in sockets {
        socket.tell(Command::End(Ending::closed(reason)));
    }
    let gone = async {
        while !lock(&world.sockets).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(STOP_TIMEOUT, gone).await.is_err() {
        tracing::warn!("some sockets did not close in time");
    }
}
