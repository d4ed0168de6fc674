//! The keys that seal credentials: whether this worker's keys fit the database, and how to change them.

use std::fmt;
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use process::shutdown::Stopping;
use process::trouble::postgres::{self, Place};
use process::{clock, shutdown};
use store::seal::Sealer;
use store::{ForAllTenants, Store, keys, server};
use tokio_util::sync::CancellationToken;

use crate::config::{KeyStores, Keys};

pub mod rotate;

/// The connections that key commands need.
const CONNECTIONS: u32 = 2;
/// How long a batch that is under way may take to end after a stop signal.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

/// Where sessions report a record under a key that this worker was not given.
#[derive(Debug, Default)]
pub struct UnknownKey {
    key_id: OnceLock<String>,
    met: CancellationToken,
}

impl UnknownKey {
    /// Reports such a key. The first one counts.
    pub fn met(&self, key_id: &str) {
        let _ = self.key_id.set(key_id.to_owned());
        self.met.cancel();
    }

    /// Waits until one is reported.
    pub async fn cancelled(&self) {
        self.met.cancelled().await;
    }

    /// The id of the reported key.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.key_id.get().map(String::as_str)
    }
}

/// Credentials are sealed under keys that this worker was not given. Nothing was deleted or written because of it.
#[derive(Debug)]
pub struct Misfit(Vec<Wrong>);

#[derive(Debug)]
struct Wrong {
    key_id: String,
    /// How many records are sealed under it; `None` if they could not be counted.
    records: Option<i64>,
    /// Whether a different key is configured under this id.
    configured: bool,
}

impl Misfit {
    /// One unknown key, found while running.
    pub async fn unknown(all: ForAllTenants<'_>, key_id: &str) -> Self {
        Self(vec![Wrong::count(all, key_id, false).await])
    }
}

impl Wrong {
    async fn count(all: ForAllTenants<'_>, key_id: &str, configured: bool) -> Self {
        let records = keys::count(all, key_id).await.ok();
        Self { key_id: key_id.to_owned(), records, configured }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CREDENTIAL_KEYS does not fit the database:")?;
        for (index, wrong) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", and " })?;
            match wrong.records {
                Some(1) => f.write_str("1 record is")?,
                Some(records) => write!(f, "{records} records are")?,
                None => f.write_str("records are")?,
            }
            write!(f, " sealed under key `{}`, ", wrong.key_id)?;
            f.write_str(if wrong.configured {
                "and the key configured under that id is another one"
            } else {
                "which is not configured"
            })?;
        }
        f.write_str(
            ". Nothing was changed. Put the key that sealed them back into CREDENTIAL_KEYS, and start again; a key may go \
             only when `switchboard-worker keys list` shows no record under it",
        )
    }
}

impl std::error::Error for Misfit {}

/// Checks, before anything is claimed, that every key in use is configured and opens the records sealed under it.
///
/// # Errors
/// [`Misfit`] if a key does not; otherwise if the database fails.
pub async fn check(all: ForAllTenants<'_>, sealer: &Sealer) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for key_id in keys::in_use(all).await? {
        let configured = sealer.knows(&key_id);
        if !configured || !keys::opens(all, sealer, &key_id).await? {
            wrong.push(Wrong::count(all, &key_id, configured).await);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Misfit(wrong).into()) }
}

/// Runs the command. Returns true if all is well.
///
/// # Errors
/// If the keys are malformed, or the database fails.
pub async fn run(command: Keys) -> anyhow::Result<bool> {
    match command {
        Keys::List { stores } => {
            let (store, sealer) = open(&stores).await?;
            let text = list(store.for_all_tenants(), &sealer).await?;
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(true)
        }
        Keys::Rotate { stores, batch } => {
            let (store, sealer) = open(&stores).await?;
            let stop = shutdown::on_signal(Stopping::Within(STOP_TIMEOUT))?.gently;
            let mut told = clock::BootTime::now();
            let done = rotate::rotate(store.for_all_tenants(), &sealer, i64::from(batch), &stop, |progress| {
                let now = clock::BootTime::now();
                if now.since(told) >= Duration::from_secs(1) {
                    told = now;
                    let _ = writeln!(std::io::stderr(), "{progress}");
                }
            })
            .await?;
            let _ = writeln!(std::io::stderr(), "{done}");
            Ok(done.complete())
        }
    }
}

async fn open(stores: &KeyStores) -> anyhow::Result<(Store, Sealer)> {
    let sealer = Sealer::parse(&stores.credential_keys.0).context("CREDENTIAL_KEYS")?;
    let options = store::options(&stores.database.url)?;
    let reached = server::connect(&options).await;
    reached.map_err(|error| postgres::of(&error, &Place::from(&options)))?;
    Ok((store::connect_lazily(&stores.database.url, CONNECTIONS)?.into(), sealer))
}

/// Lists the keys in use and the configured ones, with the state of each: one line per key.
///
/// # Errors
/// If the database fails.
pub async fn list(all: ForAllTenants<'_>, sealer: &Sealer) -> anyhow::Result<String> {
    let mut ids = keys::in_use(all).await?;
    ids.extend(sealer.key_ids());
    ids.sort();
    ids.dedup();
    let mut text = String::new();
    for key_id in ids {
        let records = keys::count(all, &key_id).await?;
        let state = match (sealer.knows(&key_id), key_id == sealer.key_id()) {
            (false, _) => "missing: not in CREDENTIAL_KEYS",
            (true, _) if !keys::opens(all, sealer, &key_id).await? => "wrong: another key has this id",
            (true, true) => "seals",
            (true, false) if records == 0 => "unused: may go once every worker runs with the first key",
            (true, false) => "opens",
        };
        text.push_str(&format!("{key_id}  {records} records  {state}\n"));
    }
    Ok(text)
}
