//! The world file: the whole world as JSON, written to a side file and renamed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::World;
use super::account::{Account, Profile};
use super::device::Companions;
use super::group::Group;
use crate::config::Config;
use crate::handshake::ServerIdentity;
use crate::keys;
use crate::phone::identity::{Identity, SavedIdentity, SavedPreKeys};
use crate::phone::inbox::{Bubble, Inbox};
use crate::phone::state::{PhoneState, SavedPhone};
use crate::sync::lock;

/// The version of the file's layout. Other versions are refused.
const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedWorld {
    layout: u32,
    static_key: String,
    accounts: Vec<SavedAccount>,
    groups: Vec<Group>,
}

#[derive(Serialize, Deserialize)]
struct SavedAccount {
    number: String,
    lid: String,
    profile: Profile,
    identity: SavedIdentity,
    prekeys: SavedPreKeys,
    phone: SavedPhone,
    /// Companions as a JSON value, so that they need not be cloned out of their lock.
    companions: serde_json::Value,
    inbox: Vec<Bubble>,
    listeners: BTreeSet<String>,
}

/// Reads the world file, or creates a new world if there is none.
pub(crate) fn open(config: Config) -> anyhow::Result<World> {
    let saved = match &config.world {
        Some(path) if path.exists() => Some(read(path)?),
        _ => None,
    };
    let Some(saved) = saved else {
        return Ok(World::new(config, ServerIdentity::new(keys::generate())));
    };
    let key = keys::from_private(&keys::decode64(&saved.static_key)?)?;
    let world = World::new(config, ServerIdentity::new(key));
    {
        let mut index = lock(&world.index);
        for account in saved.accounts {
            index.add(Arc::new(load(account)?));
        }
        for group in saved.groups {
            index.groups.insert(group.id.clone(), group);
        }
    }
    Ok(world)
}

fn read(path: &Path) -> anyhow::Result<SavedWorld> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let saved: SavedWorld =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no world file", path.display()))?;
    anyhow::ensure!(
        saved.layout == LAYOUT,
        "{} has layout {}, this program reads {LAYOUT}",
        path.display(),
        saved.layout
    );
    Ok(saved)
}

fn load(saved: SavedAccount) -> anyhow::Result<Account> {
    let identity = Identity::load(&saved.identity)?;
    let mut account = Account::new(&saved.number, saved.lid, identity.clone(), saved.profile.name.clone());
    account.prekeys.load(&saved.prekeys)?;
    let companions: Companions = serde_json::from_value(saved.companions)?;
    account.profile = std::sync::Mutex::new(saved.profile);
    account.companions = std::sync::Mutex::new(companions);
    account.listeners = std::sync::Mutex::new(saved.listeners);
    account.inbox = std::sync::Mutex::new(Inbox::from_bubbles(saved.inbox));
    account.phone = tokio::sync::Mutex::new(PhoneState::load(identity, saved.phone)?);
    Ok(account)
}

/// Saves the world after changes, until the task is aborted.
pub(crate) async fn keep_saved(world: Arc<World>) {
    loop {
        let pause = tokio::time::sleep(world.config.save_every);
        tokio::select! {
            () = pause => {}
            // a linking is saved at once, but many linkings are saved together
            () = world.save_now.notified() => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        if world.changed.swap(false, Ordering::Relaxed)
            && let Err(error) = save(&world).await
        {
            tracing::error!(%error, "cannot write the world file");
            world.dirty();
        }
    }
}

/// Writes the world file, if one is configured.
pub(crate) async fn save(world: &Arc<World>) -> anyhow::Result<()> {
    let Some(path) = world.config.world.clone() else {
        return Ok(());
    };
    // numbered before the state is read, so that the newer of two concurrent writes stays
    let number = world.last_save.fetch_add(1, Ordering::Relaxed) + 1;
    let mut accounts = Vec::new();
    for account in world.accounts() {
        accounts.push(save_account(&account).await?);
    }
    let saved = SavedWorld {
        layout: LAYOUT,
        static_key: keys::encode64(world.identity.key.private_key.serialize()),
        accounts,
        groups: world.groups(),
    };
    let world = Arc::clone(world);
    tokio::task::spawn_blocking(move || {
        let mut written = lock(&world.written_save);
        if *written < number {
            write(&path, &saved)?;
            *written = number;
        }
        Ok(())
    })
    .await?
}

async fn save_account(account: &Account) -> anyhow::Result<SavedAccount> {
    let phone = account.phone.lock().await.save()?;
    Ok(SavedAccount {
        number: account.number.clone(),
        lid: account.lid.clone(),
        profile: lock(&account.profile).clone(),
        identity: account.identity.save()?,
        prekeys: account.prekeys.save()?,
        phone,
        companions: serde_json::to_value(&*lock(&account.companions))?,
        inbox: lock(&account.inbox).iter().cloned().collect(),
        listeners: lock(&account.listeners).clone(),
    })
}

fn write(path: &Path, saved: &SavedWorld) -> anyhow::Result<()> {
    let mut side = path.as_os_str().to_owned();
    side.push(".new");
    let file = std::fs::File::create(&side)?;
    let mut buffered = std::io::BufWriter::new(file);
    serde_json::to_writer(&mut buffered, saved)?;
    buffered.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&side, path)?;
    Ok(())
}
