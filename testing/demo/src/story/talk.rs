//! Messages to the group and to a person, read on the virtual phones, and their receipts.

use std::time::Duration;

use anyhow::bail;
use kit::http::field;
use kit::reach;
use serde_json::{Value, json};

use super::people::Person;
use super::scene::Scene;
use crate::show::{detail, step};

const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn send(scene: &Scene) -> anyhow::Result<()> {
    let [ada, ben, cleo] = &scene.people.others;
    let for_all = format!("Chapter three on Thursday, everyone? ({})", scene.people.tag);
    let for_one = format!("Hello {}, would you like to join our book club? ({})", cleo.name, scene.people.tag);

    let to_group = step("Send a text to the group", text_to(scene, &scene.people.group, &for_all)).await?;
    let to_person = step(&format!("Send a text to {}", cleo.name), text_to(scene, &cleo.number, &for_one)).await?;

    for (person, text) in [(ada, &for_all), (ben, &for_all), (cleo, &for_one)] {
        received(scene, person, text).await?;
    }
    for (words, id) in [("the group", to_group), ("the person", to_person)] {
        step(&format!("The message to {words} is delivered and read"), state_becomes_read(scene, &id)).await?;
    }
    Ok(())
}

async fn text_to(scene: &Scene, to: &str, text: &str) -> anyhow::Result<String> {
    let path = format!("/v1/accounts/{}/messages", scene.account);
    field(&scene.api.post(&path, json!({ "to": to, "text": text })).await?, "id")
}

/// Waits until a person's phone has decrypted this text, and checks that it arrived once.
pub(super) async fn received(scene: &Scene, person: &Person, text: &str) -> anyhow::Result<()> {
    let words = format!("{}'s phone decrypts it", person.name);
    let message = step(&words, async {
        reach(&format!("{text:?} in the inbox of {}", person.name), LIMIT, || async {
            let inbox = scene.phones.inbox(&person.number).await?;
            let found = inbox.iter().find(|message| message["text"] == text).cloned();
            Ok(found.ok_or_else(|| Value::from(inbox).to_string()))
        })
        .await
    })
    .await?;
    detail(&format!("{} reads: {}", person.name, message["text"].as_str().unwrap_or_default()));
    if message["times_arrived"].as_u64().is_some_and(|times| times != 1) {
        bail!("{words}: expected it to arrive once, got: {message}");
    }
    Ok(())
}

async fn state_becomes_read(scene: &Scene, id: &str) -> anyhow::Result<()> {
    reach("the state read", LIMIT, || async {
        let now = scene.api.get(&format!("/v1/messages/{id}")).await?;
        Ok(if now["state"] == "read" { Ok(()) } else { Err(now.to_string()) })
    })
    .await
}
