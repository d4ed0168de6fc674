//! Commands about API keys, for the first admin and for emergencies.

use std::io::Write;

use anyhow::{Context as _, bail};
use domain::account::{MAX_LABEL, name};
use domain::id::TenantId;
use serde_json::json;
use store::api_keys;

use super::postgres::{COMMAND, open, plainly};
use super::table::{instant, or_dash, show};
use crate::auth;
use crate::config::{Keys, Rows};
use crate::wire::key::ApiKey;

pub(super) async fn run(command: Keys, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    match command {
        Keys::Create { rows, admin, tenant, name } => create(&rows, (admin, tenant), &name, out).await,
        Keys::List { rows } => {
            let store = open(&rows.database).await?;
            let keys =
                api_keys::list_all(store.for_all_tenants()).await.map_err(|error| plainly(error, &rows.database))?;
            let keys: Vec<ApiKey> = keys.into_iter().map(ApiKey::from).collect();
            show(out, rows.json, &keys, ["ID", "WHOSE", "STATE", "LAST USED", "NAME"], |key| {
                let whose = key.tenant_id.map_or_else(|| "admin".to_owned(), |tenant| format!("tenant {tenant}"));
                let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
                [key.id.to_string(), whose, state.to_owned(), or_dash(key.last_used_at.map(instant)), key.name.clone()]
            })
        }
        Keys::Revoke { rows, id } => {
            let store = open(&rows.database).await?;
            let revoked = api_keys::revoke_any(store.for_all_tenants(), id, COMMAND).await;
            revoked.map_err(|error| plainly(error, &rows.database)).context("no key was revoked")?;
            if rows.json {
                writeln!(out, "{}", json!({"id": id, "revoked": true}))?;
            }
            Ok(())
        }
    }
}

async fn create(
    rows: &Rows,
    (admin, tenant): (bool, Option<TenantId>),
    text: &str,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    if admin == tenant.is_some() {
        bail!("say either --admin or --tenant");
    }
    let name = name(text, MAX_LABEL).map_err(|error| anyhow::anyhow!("--name {error}"))?;
    let store = open(&rows.database).await?;
    let secret = auth::generate(tenant);
    let digest = auth::digest(&secret);
    let key = match tenant {
        Some(tenant) => api_keys::create(store.of(tenant), &name, &digest, COMMAND).await,
        None => api_keys::create_for_admin(store.for_all_tenants(), &name, &digest, COMMAND).await,
    };
    let key = key.map_err(|error| plainly(error, &rows.database)).context("no key was created")?;
    if rows.json {
        writeln!(out, "{}", json!({"id": key.id, "tenant_id": key.tenant_id, "name": key.name, "secret": secret}))?;
    } else {
        writeln!(out, "{secret}")?;
    }
    Ok(())
}
