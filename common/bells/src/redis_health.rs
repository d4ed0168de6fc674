//! The health of Redis: whether it answers, accepts writes, and keeps its data.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio_util::sync::CancellationToken;

use crate::keys::RedisKeys;
use process::clock::BootTime;
use process::trouble::redis::{POLICY, evicts, of, server_of, silent};
use process::trouble::{Say, Teller, Trouble};

/// The time limit of one query.
const ASK: Duration = Duration::from_secs(1);
/// How often Redis is checked by [`RedisHealth::tell`].
const EVERY: Duration = Duration::from_secs(5);

/// Checks one Redis. Cheap to clone.
#[derive(Clone)]
pub struct RedisHealth {
    connection: ConnectionManager,
    key: String,
    server: String,
}

impl RedisHealth {
    /// Prepares the connection, which is opened at its first use.
    ///
    /// # Errors
    /// If the URL is malformed. Redis itself may be unreachable.
    pub fn connect(url: &str, prefix: &str) -> redis::RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ASK))
            .set_response_timeout(Some(ASK))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        Ok(Self { connection, key: RedisKeys::new(prefix).ready(uuid::Uuid::new_v4()), server: server_of(url) })
    }

    /// Checks that Redis answers and accepts writes.
    ///
    /// # Errors
    /// If it does not. The error says what is wrong.
    pub async fn ask(&self) -> Result<(), Trouble> {
        let mut set = redis::cmd("SET");
        set.arg(&self.key).arg(1).arg("PX").arg(1_000);
        let mut connection = self.connection.clone();
        match tokio::time::timeout(ASK, set.exec_async(&mut connection)).await {
            Ok(answer) => answer.map_err(|error| of(&error, &self.server)),
            Err(_) => Err(silent(&self.server)),
        }
    }

    /// Checks that Redis keeps its data when its memory is full.
    ///
    /// # Errors
    /// If it evicts keys. A Redis that does not tell its policy passes.
    pub async fn keeps(&self) -> Result<(), Trouble> {
        let Some(info) = self.info().await else { return Ok(()) };
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim);
        match policy {
            Some(policy) if policy != POLICY => Err(evicts(policy, &self.server)),
            _ => Ok(()),
        }
    }

    /// The text of INFO; `None` if Redis does not answer or refuses it.
    pub async fn info(&self) -> Option<String> {
        let mut connection = self.connection.clone();
        let info = redis::cmd("INFO");
        let asked = tokio::time::timeout(ASK, info.query_async::<String>(&mut connection)).await;
        asked.ok()?.ok()
    }

    /// Logs what is wrong with Redis, and when that is over, until stopped: one line per change, and one line a minute
    /// while an operator must act.
    pub async fn tell(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.telling()).await;
    }

    async fn telling(&self) {
        let (began, mut teller) = (BootTime::now(), Teller::default());
        loop {
            let found = match self.ask().await {
                Ok(()) => self.keeps().await.err(),
                Err(trouble) => Some(trouble),
            };
            match (teller.look(found.as_ref(), BootTime::now().since(began)), found) {
                (Say::Wrong, Some(trouble)) => tracing::warn!(kind = trouble.kind, "{trouble}"),
                (Say::Mended, _) => tracing::info!("Redis is as it should be"),
                _ => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
