//! What the binary does besides serving: the schema, keys, the OpenAPI document.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use common::account::{MAX_LABEL, name};
use common::config::Database;
use common::id::TenantId;
use common::store::{self, api_keys};

use crate::auth;
use crate::config::Keys;

/// Brings the schema up to date. Several may run at once: the migrator takes a lock.
///
/// # Errors
/// When the database can't be reached or a migration fails.
pub async fn migrate(database: &Database) -> anyhow::Result<()> {
    store::migrate(&database.url).await.context("the schema could not be brought up to date")
}

/// Creates, lists or revokes keys.
///
/// # Errors
/// When the database can't be reached, or there is no such tenant or key.
pub async fn keys(command: Keys) -> anyhow::Result<()> {
    match command {
        Keys::Create { database, admin, tenant, name } => create_key(&database, (admin, tenant), &name).await,
        Keys::List { database } => list_keys(&database).await,
        Keys::Revoke { database, id } => {
            let db = store::connect(&database.url, 1).await?;
            api_keys::revoke_of_all_tenants(&db, id).await.context("no key was revoked")
        }
    }
}

async fn create_key(database: &Database, (admin, tenant): (bool, Option<TenantId>), text: &str) -> anyhow::Result<()> {
    if admin == tenant.is_some() {
        bail!("say either --admin or --tenant");
    }
    let name = name(text, MAX_LABEL).map_err(|error| anyhow::anyhow!("--name {error}"))?;
    let db = store::connect(&database.url, 1).await?;
    let key = auth::generate(tenant);
    api_keys::create(&db, tenant, &name, &auth::digest(&key)).await.context("no key was created")?;
    writeln!(std::io::stdout(), "{key}")?;
    Ok(())
}

async fn list_keys(database: &Database) -> anyhow::Result<()> {
    let db = store::connect(&database.url, 1).await?;
    let mut out = std::io::stdout().lock();
    for key in api_keys::list_of_all_tenants(&db).await? {
        let whose = key.tenant_id.map_or_else(|| "admin".to_owned(), |tenant| format!("tenant {tenant}"));
        let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
        writeln!(out, "{}  {whose}  {state}  {}", key.id, key.name)?;
    }
    Ok(())
}

/// Prints the OpenAPI document.
///
/// # Errors
/// When standard output is closed.
pub fn openapi() -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", crate::document().to_pretty_json()?)?;
    Ok(())
}
