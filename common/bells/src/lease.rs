//! Leases in Redis: fast routing, and fast detection of dead workers. Safety comes from the epoch (`store::leases`),
//! not from them. `keys` describes the values of the keys.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Script, Value};

use crate::keys::{RedisKeys, lease_owner, lease_value};
use domain::id::{AccountId, WorkerId};
use process::telemetry::metrics::failure;
use process::telemetry::metrics::labels::RedisUser;

/// How many accounts one round trip handles. One Lua call of this size blocks Redis for about two milliseconds.
const BATCH: usize = 1_000;

/// Redis did not answer, or the answer was not understood. This never means that a lease is lost.
#[derive(Debug, thiserror::Error)]
#[error("leases: {0}")]
pub struct Error(#[source] redis::RedisError);

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        failure::count_redis(RedisUser::Lease, &error);
        Self(error)
    }
}

/// The result of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The lease was this worker's, and lives on.
    Held,
    /// There was no lease: it ran out, or Redis was emptied. Postgres decides who may claim the account.
    Missing,
    /// The lease belongs to another worker.
    Taken,
}

/// The result of the first step of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Won {
    /// The accounts whose keys this worker won.
    pub accounts: Vec<AccountId>,
    /// Whether this Redis is young: it was emptied, restarted, or took over from another within a lease's life. Then a
    /// missing key proves nothing, because its owner may not have renewed it yet. Only an account that was given back
    /// may be claimed then, however old its owner's heartbeat is.
    pub young: bool,
}

/// The content of an account's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `<worker>:<epoch>`; `None` if there is no key.
    pub value: Option<String>,
    /// Milliseconds until it expires; negative if there is no key.
    pub ttl_ms: i64,
}

/// The leases of one worker.
#[derive(Clone)]
pub struct Leases {
    connection: ConnectionManager,
    keys: RedisKeys,
    worker: WorkerId,
    /// Earlier boots of this worker that are dead.
    former: Vec<WorkerId>,
    ttl: Duration,
}

impl Leases {
    /// Prepares the connection, which is opened at its first use. `ttl` is how long a lease lives without a renewal.
    ///
    /// # Errors
    /// If the URL is malformed. Redis itself may be unreachable.
    pub fn connect(url: &str, prefix: &str, worker: WorkerId, ttl: Duration) -> Result<Self, Error> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(2)))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        Ok(Self { connection, keys: RedisKeys::new(prefix), worker, former: Vec::new(), ttl })
    }

    /// The same, for a worker whose earlier boots are these. They must be dead: a lease that one of them still has is as
    /// good as none.
    #[must_use]
    pub fn after(self, former: Vec<WorkerId>) -> Self {
        Self { former, ..self }
    }

    /// How long a lease lives without a renewal.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// The first step of a claim: takes the keys that nobody holds, those that this worker holds from an unfinished
    /// claim, and those that its dead earlier boots left. Returns the won accounts. A refusal changes nothing.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn acquire(&self, accounts: &[AccountId]) -> Result<Won, Error> {
        let mut all = Won { accounts: Vec::new(), young: false };
        for batch in accounts.chunks(BATCH) {
            let script = Script::new(include_str!("lua/acquire.lua"));
            let mut call = script.arg(self.ttl_ms());
            for owner in std::iter::once(&self.worker).chain(&self.former) {
                call.arg(lease_owner(*owner));
            }
            call.key(self.keys.leases_since());
            for account in batch {
                call.key(self.keys.lease(*account));
            }
            let (young, won): (bool, Vec<usize>) = call.invoke_async(&mut self.connection.clone()).await?;
            all.young |= young;
            all.accounts.extend(won.into_iter().filter_map(|i| batch.get(i - 1).copied()));
        }
        Ok(all)
    }

    /// The third step of a claim: writes the epoch into the key if the key is still this worker's. Returns false if it
    /// is not; then give up the account.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn confirm(&self, account: AccountId, epoch: i64) -> Result<bool, Error> {
        let won: i64 = Script::new(include_str!("lua/confirm.lua"))
            .key(self.keys.lease(account))
            .arg(lease_value(self.worker, 0))
            .arg(lease_value(self.worker, epoch))
            .arg(self.ttl_ms())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(won == 1)
    }

    /// Renews leases in batches. A missing key is set again only if `restore` is true, which means that Postgres still
    /// names this worker as the owner. If there is nothing to renew, Redis is asked all the same: an answer counts as a
    /// confirmation.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn renew(&self, held: &[(AccountId, i64)], restore: bool) -> Result<Vec<(AccountId, Renewal)>, Error> {
        if held.is_empty() {
            self.ping().await?;
        }
        let mut renewals = Vec::with_capacity(held.len());
        for batch in held.chunks(BATCH) {
            let script = Script::new(include_str!("lua/renew.lua"));
            let mut call = script.arg(self.ttl_ms());
            call.arg(u8::from(restore));
            for (account, epoch) in batch {
                call.key(self.keys.lease(*account));
                call.arg(lease_value(self.worker, *epoch));
            }
            let found: Vec<u8> = call.invoke_async(&mut self.connection.clone()).await?;
            renewals.extend(batch.iter().zip(found).map(|((account, _), found)| {
                let renewal = match found {
                    0 => Renewal::Held,
                    1 => Renewal::Missing,
                    _ => Renewal::Taken,
                };
                (*account, renewal)
            }));
        }
        Ok(renewals)
    }

    /// Gives leases back, whatever their epoch (compare and delete). Returns how many were this worker's.
    ///
    /// # Errors
    /// If Redis does not answer. The leases then expire by themselves.
    pub async fn release(&self, accounts: &[AccountId]) -> Result<i64, Error> {
        let mut gone = 0;
        for batch in accounts.chunks(BATCH) {
            let script = Script::new(include_str!("lua/release.lua"));
            let mut call = script.arg(lease_owner(self.worker));
            for account in batch {
                call.key(self.keys.lease(*account));
            }
            gone += call.invoke_async::<i64>(&mut self.connection.clone()).await?;
        }
        Ok(gone)
    }

    /// Gives back leases under exactly these epochs. Returns how many there were.
    ///
    /// # Errors
    /// If Redis does not answer. The leases then expire by themselves.
    pub async fn release_claims(&self, claims: &[(AccountId, i64)]) -> Result<i64, Error> {
        let mut gone = 0;
        for batch in claims.chunks(BATCH) {
            let script = Script::new(include_str!("lua/release_claims.lua"));
            let mut call = script.prepare_invoke();
            for (account, epoch) in batch {
                call.key(self.keys.lease(*account));
                call.arg(lease_value(self.worker, *epoch));
            }
            gone += call.invoke_async::<i64>(&mut self.connection.clone()).await?;
        }
        Ok(gone)
    }

    /// The keys of accounts, in order, whichever worker they belong to. Changes nothing.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn look(&self, accounts: &[AccountId]) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::with_capacity(accounts.len());
        for batch in accounts.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            for account in batch {
                pipeline.cmd("GET").arg(self.keys.lease(*account)).cmd("PTTL").arg(self.keys.lease(*account));
            }
            let answers: Vec<Value> = pipeline.query_async(&mut self.connection.clone()).await?;
            let (answers, _) = answers.as_chunks::<2>();
            for [value, ttl_ms] in answers {
                let value = redis::from_redis_value_ref(value).map_err(redis::RedisError::from)?;
                let ttl_ms = redis::from_redis_value_ref(ttl_ms).map_err(redis::RedisError::from)?;
                keys.push(Key { value, ttl_ms });
            }
        }
        Ok(keys)
    }

    /// Checks that Redis answers and accepts writes.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        let _: Value = redis::cmd("SET")
            .arg(self.keys.ping(self.worker))
            .arg(1)
            .arg("PX")
            .arg(1_000)
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }
}
