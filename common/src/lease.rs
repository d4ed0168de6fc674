//! Leases in Redis: fast routing and fast detection of dead workers. Safety is the epoch's (`store::leases`), not theirs.
//!
//! `{prefix}lease:{account}` holds `<worker>:<epoch>`; the epoch is `0` between winning the key and winning the claim.
//! `{prefix}leases_since` holds `<run of the server>:<ms>`, since when this Redis has kept what it was given.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Script, Value};

use crate::id::{AccountId, WorkerId};
use crate::telemetry::metrics::failure;
use crate::telemetry::metrics::labels::RedisUser;

/// Accounts in one round trip; one Lua call of this size stalls Redis for about two milliseconds.
const BATCH: usize = 1_000;

/// Redis did not answer, or not in words that we know. It never means that a lease is lost.
#[derive(Debug, thiserror::Error)]
#[error("leases: {0}")]
pub struct Error(#[source] redis::RedisError);

impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        failure::count_redis(RedisUser::Lease, &error);
        Self(error)
    }
}

/// What a renewal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It was ours and lives on.
    Held,
    /// Nobody's: it ran out, or Redis was emptied. Postgres decides who may take it again.
    Missing,
    /// Somebody else's.
    Taken,
}

/// What a worker won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Won {
    /// The keys.
    pub accounts: Vec<AccountId>,
    /// This Redis has not been itself for as long as a lease lives: it was emptied, restarted, or took over from another. A
    /// key that is missing says nothing then: its owner may not have come to renew it yet. Only an account that was given
    /// back may be claimed, whatever the heartbeat of its owner.
    pub young: bool,
}

/// The leases of one worker.
#[derive(Clone)]
pub struct Leases {
    connection: ConnectionManager,
    prefix: String,
    worker: WorkerId,
    ttl: Duration,
}

impl Leases {
    /// Prepares the connection; it is made with the first use. `ttl` is how long a lease lives without a renewal.
    ///
    /// # Errors
    /// When the URL is malformed; Redis itself may be away.
    pub fn connect(url: &str, prefix: &str, worker: WorkerId, ttl: Duration) -> Result<Self, Error> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(2)))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2);
        let connection = ConnectionManager::new_lazy_with_config(redis::Client::open(url)?, config)?;
        Ok(Self { connection, prefix: prefix.to_owned(), worker, ttl })
    }

    /// How long a lease lives without a renewal.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    fn key(&self, account: AccountId) -> String {
        format!("{}lease:{account}", self.prefix)
    }

    fn value(&self, epoch: i64) -> String {
        format!("{}:{epoch}", self.worker)
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }

    /// First step of a claim: takes the key where nobody holds it (or this worker does, from a claim that went no
    /// further). Answers those won. Nothing else has happened when it is refused.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn acquire(&self, accounts: &[AccountId]) -> Result<Won, Error> {
        const ACQUIRE: &str = r"
            local time = redis.call('TIME')
            local now = time[1] * 1000 + math.floor(time[2] / 1000)
            local server = redis.pcall('INFO', 'server')
            local run = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or 'unknown'
            local since_run, since = string.match(redis.call('GET', KEYS[1]) or '', '^(%w+):(%d+)$')
            if since_run ~= run then
                since = now
                redis.call('SET', KEYS[1], run .. ':' .. string.format('%.0f', now))
            end
            local won = {}
            for i = 2, #KEYS do
                local held = redis.call('GET', KEYS[i])
                if not held or string.sub(held, 1, #ARGV[1]) == ARGV[1] then
                    redis.call('SET', KEYS[i], ARGV[1] .. '0', 'PX', ARGV[2])
                    won[#won + 1] = i - 1
                end
            end
            return {now - since < tonumber(ARGV[2]) and 1 or 0, won}";
        let mut all = Won { accounts: Vec::new(), young: false };
        for batch in accounts.chunks(BATCH) {
            let script = Script::new(ACQUIRE);
            let mut call = script.arg(format!("{}:", self.worker));
            call.arg(self.ttl_ms());
            call.key(format!("{}leases_since", self.prefix));
            for account in batch {
                call.key(self.key(*account));
            }
            let (young, won): (bool, Vec<usize>) = call.invoke_async(&mut self.connection.clone()).await?;
            all.young |= young;
            all.accounts.extend(won.into_iter().filter_map(|i| batch.get(i - 1).copied()));
        }
        Ok(all)
    }

    /// Third step of a claim: puts the epoch into the key if it is still this worker's. Refused: forget the account.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn confirm(&self, account: AccountId, epoch: i64) -> Result<bool, Error> {
        const CONFIRM: &str = r"
            if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
            return 1";
        let won: i64 = Script::new(CONFIRM)
            .key(self.key(account))
            .arg(self.value(0))
            .arg(self.value(epoch))
            .arg(self.ttl_ms())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(won == 1)
    }

    /// Renews leases in batches. A key that is missing is set again only when `restore` says that Postgres still names
    /// this worker as the owner. With nothing to renew, Redis is asked all the same: an answer counts as a confirmation.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn renew(&self, held: &[(AccountId, i64)], restore: bool) -> Result<Vec<(AccountId, Renewal)>, Error> {
        const RENEW: &str = r"
            local found = {}
            for i, key in ipairs(KEYS) do
                local held = redis.call('GET', key)
                if held == ARGV[i + 2] then
                    redis.call('PEXPIRE', key, ARGV[1])
                    found[i] = 0
                elseif held then
                    found[i] = 2
                elseif ARGV[2] == '1' then
                    redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[1])
                    found[i] = 0
                else
                    found[i] = 1
                end
            end
            return found";
        if held.is_empty() {
            self.ping().await?;
        }
        let mut renewals = Vec::with_capacity(held.len());
        for batch in held.chunks(BATCH) {
            let script = Script::new(RENEW);
            let mut call = script.arg(self.ttl_ms());
            call.arg(u8::from(restore));
            for (account, epoch) in batch {
                call.key(self.key(*account));
                call.arg(self.value(*epoch));
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

    /// Gives leases back: compare and delete, whatever the epoch. Answers how many were this worker's.
    ///
    /// # Errors
    /// When Redis does not answer; the leases then run out by themselves.
    pub async fn release(&self, accounts: &[AccountId]) -> Result<i64, Error> {
        const RELEASE: &str = r"
            local gone = 0
            for _, key in ipairs(KEYS) do
                local held = redis.call('GET', key)
                if held and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
                    gone = gone + redis.call('DEL', key)
                end
            end
            return gone";
        let mut gone = 0;
        for batch in accounts.chunks(BATCH) {
            let script = Script::new(RELEASE);
            let mut call = script.arg(format!("{}:", self.worker));
            for account in batch {
                call.key(self.key(*account));
            }
            gone += call.invoke_async::<i64>(&mut self.connection.clone()).await?;
        }
        Ok(gone)
    }

    /// Gives back leases under exactly these epochs. Answers how many there were.
    ///
    /// # Errors
    /// When Redis does not answer; the leases then run out by themselves.
    pub async fn release_claims(&self, claims: &[(AccountId, i64)]) -> Result<i64, Error> {
        const RELEASE: &str = r"
            local gone = 0
            for i, key in ipairs(KEYS) do
                if redis.call('GET', key) == ARGV[i] then
                    gone = gone + redis.call('DEL', key)
                end
            end
            return gone";
        let mut gone = 0;
        for batch in claims.chunks(BATCH) {
            let script = Script::new(RELEASE);
            let mut call = script.prepare_invoke();
            for (account, epoch) in batch {
                call.key(self.key(*account));
                call.arg(self.value(*epoch));
            }
            gone += call.invoke_async::<i64>(&mut self.connection.clone()).await?;
        }
        Ok(gone)
    }

    /// Whether Redis answers and takes writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        let _: Value = redis::cmd("SET")
            .arg(format!("{}ping:{}", self.prefix, self.worker))
            .arg(1)
            .arg("PX")
            .arg(1_000)
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(())
    }
}
