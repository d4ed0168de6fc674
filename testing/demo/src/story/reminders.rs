//! Reminders: one that fires once and a daily one. Both are due a few seconds from now.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use kit::http::field;
use kit::reach;
use serde_json::{Value, json};

use super::scene::Scene;
use super::talk::received;
use crate::show::{detail, step};

const LIMIT: Duration = Duration::from_secs(45);

pub(super) async fn fire(scene: &Scene) -> anyhow::Result<()> {
    let once = format!("Once: bring the book ({})", scene.people.tag);
    let daily = format!("Every day: read ten pages ({})", scene.people.tag);
    let start = now() + TimeDelta::seconds(4);

    let first = step("Plan a reminder for once, four seconds from now", plan(scene, &once, start, "none")).await?;
    let second = step("Plan a daily one that starts then, too", plan(scene, &daily, start, "daily")).await?;
    let [ada, ben, _] = &scene.people.others;
    received(scene, ada, &once).await?;
    received(scene, ben, &daily).await?;
    for (words, id) in [("The first has run once", first), ("The daily one has run, and knows its next time", second)] {
        let reminder = step(words, ran(scene, &id)).await?;
        if let Some(next) = reminder["next_fire_at"].as_str() {
            detail(&format!("next: {next}"));
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the story plans something a few seconds from now")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

async fn plan(scene: &Scene, text: &str, start: DateTime<Utc>, kind: &str) -> anyhow::Result<String> {
    let reminder = json!({
        "name": text,
        "account_id": scene.account,
        "messages": [text],
        "targets": [scene.people.group],
        "start": start.format("%Y-%m-%dT%H:%M:%S").to_string(),
        "timezone": "UTC",
        "recurrence": { "kind": kind },
    });
    field(&scene.api.post("/v1/reminders", reminder).await?, "id")
}

/// Waits until there is exactly one run. Returns the current state of the reminder.
async fn ran(scene: &Scene, id: &str) -> anyhow::Result<Value> {
    reach("one run", LIMIT, || async {
        let runs = scene.api.get(&format!("/v1/reminders/{id}/runs")).await?;
        match runs["data"].as_array().map_or(0, Vec::len) {
            0 => Ok(Err(runs.to_string())),
            1 => Ok(Ok(())),
            _ => bail!("expected one run, got: {runs}"),
        }
    })
    .await?;
    scene.api.get(&format!("/v1/reminders/{id}")).await
}
