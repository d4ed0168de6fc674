//! Shows events across tenants, with kinds and ids. Their data may contain phone numbers and texts, so it is shown only
//! on request.

use std::io::Write;
use std::time::Duration;

use process::clock::BootTime;
use store::admin::{self, Event, Which};
use store::events::Cursor;

use super::postgres::{open, plainly};
use super::table::{instant, or_dash, render};
use crate::config::Events;

/// The pause between two queries while following.
const PAUSE: Duration = Duration::from_secs(1);
/// The highest number of events in one query.
const BATCH: i64 = 10_000;

pub(super) async fn run(command: Events, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let Events::Tail { rows, tenant, kind, follow, data, limit } = command;
    let store = open(&rows.database).await?;
    let which = Which { tenant, kind: kind.as_deref(), data };
    let wrong = |error| plainly(error, &rows.database);
    let events = admin::events(store.for_all_tenants(), which, None, limit.limit).await.map_err(wrong)?;
    let mut last = events.iter().map(|event| event.cursor).max();
    let mut looked = BootTime::now();
    write(out, rows.json, &events, true)?;
    if !follow {
        return Ok(());
    }
    loop {
        out.flush()?;
        tokio::time::sleep(PAUSE).await;
        let now = BootTime::now();
        let after = (last.unwrap_or(Cursor { txid: 0, id: 0 }), now.since(looked));
        looked = now;
        let events = admin::events(store.for_all_tenants(), which, Some(after), BATCH).await.map_err(wrong)?;
        last = events.iter().map(|event| event.cursor).max().or(last);
        write(out, rows.json, &events, false)?;
    }
}

fn write(out: &mut (dyn Write + Send), json: bool, events: &[Event], heads: bool) -> anyhow::Result<()> {
    if json {
        for event in events {
            writeln!(out, "{}", serde_json::to_string(event)?)?;
        }
        return Ok(());
    }
    let cells: Vec<[String; 6]> = events
        .iter()
        .map(|event| {
            [
                instant(event.created_at),
                event.id.clone(),
                format!("{:<28}", event.kind),
                event.tenant_id.to_string(),
                or_dash(event.account_id),
                event.data.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]
        })
        .collect();
    let text = render(["WHEN", "ID", "KIND", "TENANT", "ACCOUNT", ""], &cells);
    let skip = if heads { 0 } else { text.find('\n').map_or(0, |end| end + 1) };
    out.write_all(&text.as_bytes()[skip..])?;
    Ok(())
}
