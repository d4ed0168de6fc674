//! The worker's name and the lock on it. A worker that starts again in its place takes its accounts back at once: the
//! lock shows that its former boot is dead.

use std::time::Duration;

use domain::id::WorkerId;
use process::clock::BootTime;
use store::workers::name::{self, Name};
use store::{PgPool, Store, answered};

/// How long a start waits for the lock. The connection of a killed process ends within moments.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two tries at the start.
const SOON: Duration = Duration::from_millis(50);
/// How often the lock is checked.
const CHECK: Duration = Duration::from_secs(5);
/// The pause between two tries to take a lock that the worker does not have.
const AGAIN: Duration = Duration::from_secs(2);

/// What a start has done with its name.
#[derive(Debug, Default)]
pub struct Taken {
    /// The lock; `None` if another connection holds it.
    pub lock: Option<Name>,
    /// Earlier boots, now dead, whose leases in Redis may not have run out yet.
    pub former: Vec<WorkerId>,
}

/// Takes the lock on the name. With it, gives back what earlier boots under this name owned.
///
/// # Errors
/// If the database fails.
pub async fn take(db: &PgPool, worker: WorkerId, name: &str) -> store::Result<Taken> {
    let began = BootTime::now();
    let lock = loop {
        let lock = answered(Name::take(db, name)).await?;
        if lock.is_some() || BootTime::now().since(began) >= PATIENCE {
            break lock;
        }
        tokio::time::sleep(SOON).await;
    };
    if lock.is_none() {
        tracing::warn!(
            name,
            "the lock on this worker's name is taken: another worker has the same WORKER_NAME, or Postgres has not yet \
             noticed that the former boot is dead. Accounts of the former boot wait for their leases"
        );
        return Ok(Taken::default());
    }
    let store = Store::from(db.clone());
    let (former, freed) = answered(name::give_back_of_former(store.for_all_tenants(), worker, name)).await?;
    if freed > 0 {
        tracing::info!(name, accounts = freed, "the former boot of this worker is dead: its accounts are free");
    }
    Ok(Taken { lock, former })
}

/// Keeps the lock, and takes it (again) if the worker does not have it. The worker's row says whether it has. Runs until
/// it is dropped.
pub async fn keep(db: PgPool, worker: WorkerId, name: String, mut lock: Option<Name>) {
    let mut told = lock.is_none();
    loop {
        let Some(held) = &mut lock else {
            tokio::time::sleep(AGAIN).await;
            lock = taken(&db, worker, &name).await;
            if lock.is_none() && !told {
                tracing::warn!(
                    name,
                    "the lock on this worker's name is taken: does another worker have the same name?"
                );
            }
            told = lock.is_none();
            continue;
        };
        tokio::time::sleep(CHECK).await;
        if let Err(error) = answered(held.check()).await {
            tracing::warn!(%error, name, "the lock on this worker's name was lost");
            lock = None; // this ends the connection, if it still lives
            told = false;
            if let Err(error) = answered(name::is_held(&db, worker, false)).await {
                tracing::debug!(%error, "the worker's row does not say yet that its name is not locked");
            }
        }
    }
}

/// Tries to take the lock, and writes into the worker's row that it has it.
async fn taken(db: &PgPool, worker: WorkerId, name: &str) -> Option<Name> {
    let taken = async {
        let lock = answered(Name::take(db, name)).await?;
        if lock.is_some() {
            answered(name::is_held(db, worker, true)).await?;
        }
        store::Result::Ok(lock)
    };
    match taken.await {
        Ok(Some(lock)) => {
            tracing::info!(name, "this worker holds the lock on its name");
            Some(lock)
        }
        Ok(None) => None,
        Err(error) => {
            tracing::debug!(%error, "the lock on this worker's name waits for the database");
            None
        }
    }
}
