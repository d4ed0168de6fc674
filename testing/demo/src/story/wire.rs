//! Linking and unlinking: the QR code, the groups that come with it, unlinking, deleting.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kit::reach;
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::Scene;
use crate::show::{detail, step};

const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn pair(scene: &Scene) -> anyhow::Result<()> {
    let account = format!("/v1/accounts/{}", scene.account);
    let (code, drawing) = step("Ask for a QR code", async {
        scene.api.post(&format!("{account}/pair"), json!({ "method": "qr" })).await?;
        reach("a QR code", LIMIT, || code_and_drawing(scene)).await
    })
    .await?;
    detail(&drawing);

    let owner = &scene.people.owner;
    step(&format!("{}'s phone scans exactly this code", owner.name), async {
        scene.phones.scan(&owner.number, &code).await?.success()?;
        Ok(())
    })
    .await?;
    step("The account is connected", becomes(scene, "connected")).await?;
    let now = scene.api.get(&account).await?;
    detail(&format!("as +{}", now["phone_number"].as_str().unwrap_or("(no number)")));
    Ok(())
}

/// The code as text and as a drawing. Both must be of the same code, which may change between the requests.
async fn code_and_drawing(scene: &Scene) -> anyhow::Result<Result<(String, String), String>> {
    let qr = format!("/v1/accounts/{}/qr", scene.account);
    let before = scene.api.get_text(&format!("{qr}?format=text")).await?;
    let drawing = scene.api.get_text(&format!("{qr}?format=terminal")).await?;
    let after = scene.api.get_text(&format!("{qr}?format=text")).await?;
    Ok(match (before, drawing) {
        (Some(code), Some(drawing)) if after.as_ref() == Some(&code) => Ok((code, drawing)),
        _ => Err("no code yet".to_owned()),
    })
}

async fn becomes(scene: &Scene, status: &str) -> anyhow::Result<()> {
    reach(&format!("the account to be {status}"), LIMIT, || async {
        let now = scene.api.get(&format!("/v1/accounts/{}", scene.account)).await?;
        Ok(if now["status"] == status { Ok(()) } else { Err(now.to_string()) })
    })
    .await
}

pub(super) async fn groups(scene: &Scene) -> anyhow::Result<()> {
    let groups = step("Its groups are listed", async {
        reach("the new group among the account's groups", LIMIT, || async {
            let groups = scene.api.get(&format!("/v1/accounts/{}/groups", scene.account)).await?;
            let list = groups["data"].as_array().cloned().unwrap_or_default();
            let there = list.iter().any(|group| group["jid"] == scene.people.group.as_str());
            Ok(if there { Ok(list) } else { Err(groups.to_string()) })
        })
        .await
    })
    .await?;
    for group in &groups {
        detail(&format!("{}, {} members ({})", text(group, "subject"), group["size"], text(group, "jid")));
    }
    Ok(())
}

pub(super) async fn unpair(scene: &Scene) -> anyhow::Result<()> {
    step("Unlink: the account forgets the phone", async {
        scene.api.post(&format!("/v1/accounts/{}/unpair", scene.account), json!({})).await?;
        becomes(scene, "unpaired").await
    })
    .await?;
    step("The account's socket is closed", phone_reaches(scene, "no open socket", |phone| open_sockets(phone) == 0))
        .await?;
    // unlinking happens only on this side: the phone lists the device until its owner removes it there
    let owner = &scene.people.owner;
    let words = format!("{} removes the entry that her phone still lists", owner.name);
    step(&words, async {
        let phone = scene.phones.phone(&owner.number).await?;
        for device in devices(&phone) {
            let path = format!("/phones/{}/devices/{}", owner.number, device["device"]);
            scene.phones.call(Method::DELETE, &path, None).await?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn delete(scene: &Scene) -> anyhow::Result<()> {
    step("Delete the account", async {
        scene.api.delete(&format!("/v1/accounts/{}", scene.account)).await?;
        let path = format!("/v1/accounts/{}", scene.account);
        reach("the account to be gone (404)", LIMIT, || async {
            Ok(match scene.api.get_text(&path).await? {
                None => Ok(()),
                Some(text) => Err(text),
            })
        })
        .await
    })
    .await?;
    let words = format!("{}'s phone shows no linked device any more", scene.people.owner.name);
    step(&words, phone_reaches(scene, "no linked device", |phone| devices(phone).is_empty())).await
}

async fn phone_reaches(scene: &Scene, wanted: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    reach(&format!("{wanted} on the phone"), LIMIT, || async {
        let phone = scene.phones.phone(&scene.people.owner.number).await?;
        if !phone["linked_devices"].is_array() {
            bail!("expected a list of linked devices, got: {phone}");
        }
        Ok(if holds(&phone) { Ok(()) } else { Err(phone.to_string()) })
    })
    .await
    .context("asking the simulator")
}

fn devices(phone: &Value) -> &[Value] {
    phone["linked_devices"].as_array().map_or(&[], Vec::as_slice)
}

fn open_sockets(phone: &Value) -> u64 {
    phone["sockets_now"].as_u64().unwrap_or(0)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("?")
}
