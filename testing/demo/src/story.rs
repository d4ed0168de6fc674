//! The main use, shown step by step on virtual phones. It ends at the first step that fails.

mod people;
mod reminders;
mod scene;
mod talk;
mod wire;

use kit::Phones;
use kit::http::{Http, field};
use serde_json::json;

use crate::cluster::Addresses;
use crate::show::{detail, heading, step};
use crate::stack::tenant_key;
use people::People;
use scene::Scene;

/// What is printed at the end for the reader to try.
pub(crate) struct Ready {
    tenant_key: String,
}

pub(crate) async fn tell(at: &Addresses) -> anyhow::Result<Ready> {
    let phones = Phones::new(&format!("{}/admin", at.simulator));
    heading("Before the story: people with (virtual) phones");
    let people = step("Four phones, and a group that three of them are in", People::invite(&phones)).await?;
    people.introduce();

    heading("A tenant and its first account");
    let name = format!("Demo {}", people.tag);
    let tenant_key = step("Create a tenant and an API key", tenant_key(at, &name)).await?;
    let api = Http::new(&at.api, Some(&tenant_key));
    let account = step("Add an account", async {
        field(&api.post("/v1/accounts", json!({ "label": "Front desk" })).await?, "id")
    })
    .await?;
    let scene = Scene { api, phones, account, people };

    heading("Link it with a phone");
    wire::pair(&scene).await?;
    wire::groups(&scene).await?;

    heading("Send");
    talk::send(&scene).await?;

    heading("Remind");
    reminders::fire(&scene).await?;

    heading("Unlink, link again, delete");
    wire::unpair(&scene).await?;
    wire::pair(&scene).await?;
    wire::delete(&scene).await?;
    println!("\n✓ That was the main job, end to end.");
    Ok(Ready { tenant_key })
}

pub(crate) fn show_addresses(at: &Addresses, ready: &Ready) {
    print_addresses(at);
    heading("Try it: this lists the tenant's accounts (none: the story deleted its own)");
    detail(&format!("curl {}/v1/accounts -H 'Authorization: Bearer {}'", at.api, ready.tenant_key));
    heading("and this adds one:");
    detail(&format!(
        "curl -X POST {}/v1/accounts -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{}'",
        at.api,
        ready.tenant_key,
        json!({ "label": "My account" })
    ));
}

pub(crate) fn print_addresses(at: &Addresses) {
    heading("Everything stays up:");
    let mut lines = vec![
        ("api", at.api.clone()),
        ("api docs", format!("{}/docs", at.api)),
        ("openapi", format!("{}/openapi.json", at.api)),
        ("health", format!("{}/health", at.api)),
    ];
    let others: Vec<(String, String)> =
        at.ops.iter().map(|(name, base)| (format!("{name} metrics"), format!("{base}/metrics"))).collect();
    lines.extend(others.iter().map(|(name, url)| (name.as_str(), url.clone())));
    if !at.simulator.is_empty() {
        lines.push(("simulator", format!("{}/admin/audit", at.simulator)));
    }
    lines.push(("logs", at.place.data.join("logs").display().to_string()));
    for (name, url) in lines {
        detail(&format!("{name:<18} {url}"));
    }
}
