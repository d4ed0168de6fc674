//! `make up`: an account on the real WhatsApp, linked by a QR code that a real phone scans.

use std::io::IsTerminal as _;
use std::time::Duration;

use kit::http::{Http, field};
use serde_json::{Value, json};

use crate::cluster::Addresses;
use crate::show::{detail, heading, step};
use crate::stack::tenant_key;
use crate::story::print_addresses;

/// Links the account of this machine, or waits until it is connected again.
pub(crate) async fn link(at: &Addresses) -> anyhow::Result<()> {
    let key = step("A tenant and its key", remembered_key(at)).await?;
    let api = Http::new(&at.api, Some(&key));
    let account = step("An account", first_account(&api)).await?;
    print_addresses(at);
    heading(
        "Waiting for WhatsApp. On the phone: Settings → Linked devices → Link a device, then scan the code that comes here.",
    );

    let mut shown = String::new();
    loop {
        let now = api.get(&format!("/v1/accounts/{account}")).await?;
        match now["status"].as_str().unwrap_or_default() {
            "connected" => {
                println!("✓ connected as {}", now["phone_number"].as_str().unwrap_or("(number unknown)"));
                show_use(at, &key, &account);
                return Ok(());
            }
            "unpaired" | "logged_out" => {
                api.post(&format!("/v1/accounts/{account}/pair"), json!({ "method": "qr" })).await?;
            }
            "pending" => show_code(&api, &account, &mut shown).await?,
            _ => {} // it was linked before and is not connected yet
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Draws the code if it is a new one.
async fn show_code(api: &Http, account: &str, shown: &mut String) -> anyhow::Result<()> {
    let Some(code) = api.get_text(&format!("/v1/accounts/{account}/qr?format=text")).await? else {
        return Ok(());
    };
    if code == *shown {
        return Ok(());
    }
    if let Some(drawing) = api.get_text(&format!("/v1/accounts/{account}/qr?format=terminal")).await? {
        if !shown.is_empty() && std::io::stdout().is_terminal() {
            print!("\x1b[{}A\x1b[J", drawing.lines().count() + 1);
        }
        println!("{drawing}\n");
        *shown = code;
    }
    Ok(())
}

/// The key of this machine's tenant. The tenant is created once, and its key is kept in the data directory.
async fn remembered_key(at: &Addresses) -> anyhow::Result<String> {
    if let Some(key) = at.place.remembered("tenant.key")
        && Http::new(&at.api, Some(&key)).is_ok("/v1/accounts").await.is_ok()
    {
        return Ok(key);
    }
    let key = tenant_key(at, "this machine").await?;
    at.place.remember("tenant.key", &key)?;
    Ok(key)
}

async fn first_account(api: &Http) -> anyhow::Result<String> {
    let accounts = api.get("/v1/accounts").await?;
    match accounts["data"].as_array().and_then(|list| list.first()) {
        Some(account) => field(account, "id"),
        None => field(&api.post("/v1/accounts", json!({ "label": "My phone" })).await?, "id"),
    }
}

fn show_use(at: &Addresses, key: &str, account: &str) {
    let body: Value = json!({ "to": "<phone number with country code>", "text": "Hello from Switchboard" });
    heading("Send a message:");
    detail(&format!(
        "curl -X POST {}/v1/accounts/{account}/messages \\\n  -H 'Authorization: Bearer {key}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'",
        at.api
    ));
}
