//! Commands about tenants.

use std::io::Write;

use domain::account::{MAX_LABEL, name};
use domain::id::TenantId;
use store::tenants;

use super::postgres::{COMMAND, open, plainly};
use super::table::{instant, show};
use crate::config::Tenants;
use crate::wire::tenant::Tenant;

/// The highest number of tenants in one answer.
const LIMIT: i64 = 100_000;

pub(super) async fn run(command: Tenants, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    match command {
        Tenants::List { rows } => {
            let store = open(&rows.database).await?;
            let found = tenants::list(store.for_all_tenants(), None, LIMIT)
                .await
                .map_err(|error| plainly(error, &rows.database))?;
            let found: Vec<Tenant> = found.into_iter().map(Tenant::from).collect();
            show(out, rows.json, &found, ["ID", "CREATED", "NAME"], |tenant| {
                [tenant.id.to_string(), instant(tenant.created_at), tenant.name.clone()]
            })
        }
        Tenants::Create { rows, name: text } => {
            let name = name(&text, MAX_LABEL).map_err(|error| anyhow::anyhow!("--name {error}"))?;
            let store = open(&rows.database).await?;
            let created = tenants::create(store.of(TenantId::new()), &name, COMMAND).await;
            let tenant = created.map_err(|error| plainly(error, &rows.database))?;
            if rows.json {
                writeln!(out, "{}", serde_json::to_string(&Tenant::from(tenant))?)?;
            } else {
                writeln!(out, "{}", tenant.id)?;
            }
            Ok(())
        }
    }
}
