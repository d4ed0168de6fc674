//! `make stack`: everything in the background, and a file with its addresses for other programs.

use kit::http::{Http, field};
use serde_json::json;

use crate::cluster::{Addresses, Cluster};
use crate::place::{Place, living};
use crate::show::{heading, step};

/// Whether a stack is already running here. If so, prints its file.
pub(crate) fn is_running(place: &Place) -> anyhow::Result<bool> {
    let path = place.data.join("stack.env");
    if !path.exists() || living(&place.pids()).is_empty() {
        return Ok(false);
    }
    println!("The stack already runs (make down stops it). {}:", path.display());
    print!("{}", std::fs::read_to_string(path)?);
    Ok(true)
}

/// Creates a tenant and writes the file.
pub(crate) async fn finish(cluster: &Cluster, at: &Addresses) -> anyhow::Result<()> {
    let tenant_key = step("A tenant and its key", tenant_key(at, "stack")).await?;
    let pid = |process: &kit::Process| process.pid().unwrap_or_default().to_string();
    let pids: Vec<String> = cluster.children.all().iter().map(pid).collect();
    let mut lines: Vec<(String, String)> = [
        ("API_URL", &at.api),
        ("ADMIN_KEY", &at.admin_key),
        ("TENANT_KEY", &tenant_key),
        ("SIMULATOR_ADMIN_URL", &at.simulator),
        ("SIMULATOR_WS_URL", &at.whatsapp),
        ("DATABASE_URL", &at.servers.database_url),
        ("REDIS_URL", &at.servers.redis_url),
        ("LOGS", &at.place.data.join("logs").display().to_string()),
        ("PIDS", &pids.join(" ")),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .to_vec();
    for process in cluster.children.all() {
        lines.push((format!("{}_PID", process.name.replace('-', "_").to_uppercase()), pid(process)));
    }
    for (name, base) in &at.ops {
        lines.push((format!("{}_OPS_URL", name.replace('-', "_").to_uppercase()), base.clone()));
    }

    let text: String = lines.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    at.place.remember("stack.env", text.trim_end())?;
    heading(&format!("The stack is ready. {}:", at.place.data.join("stack.env").display()));
    print!("{text}");
    println!("\nmake down stops it.");
    Ok(())
}

pub(crate) async fn tenant_key(at: &Addresses, name: &str) -> anyhow::Result<String> {
    let admin = Http::new(&at.api, Some(&at.admin_key));
    let tenant = field(&admin.post("/v1/tenants", json!({ "name": name })).await?, "id")?;
    let key = admin.post(&format!("/v1/tenants/{tenant}/keys"), json!({ "name": name })).await?;
    field(&key, "secret")
}

/// Quotes a value for a shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}
