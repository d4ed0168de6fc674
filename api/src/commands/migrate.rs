//! Brings the schema up to date, or waits until another process has done so.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use process::clock::BootTime;
use process::trouble::postgres::{self, Place};
use process::trouble::{Say, Teller, Trouble};
use store::PgConnectOptions;
use store::server::{self, Schema};
use store::startup;

use crate::config::Migrate;

/// The pause between two checks.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(asked: Migrate, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let options = store::options(&asked.database.url)?;
    if asked.wait {
        return wait(&options, Duration::from_secs(asked.timeout_s), out).await;
    }
    let before = look(&options).await?;
    if before.pending.is_empty() && before.unfinished.is_none() {
        writeln!(out, "{}", nothing_to_do(&before))?;
        return Ok(());
    }
    // several may run at once: the migrator takes a lock, and later ones find nothing to do
    let place = Place::from(&options);
    store::migrate(&asked.database.url).await.map_err(|error| match error {
        store::Error::Database(error) => anyhow::Error::from(postgres::of(&error, &place)),
        other => other.into(),
    })?;
    let after = look(&options).await?;
    writeln!(out, "{}", what_was_done(&before, &after))?;
    Ok(())
}

async fn look(options: &PgConnectOptions) -> Result<Schema, Trouble> {
    let place = Place::from(options);
    let wrong = |error: sqlx::Error| postgres::of(&error, &place);
    let mut db = server::connect(options).await.map_err(wrong)?;
    server::schema(&mut db).await.map_err(wrong)
}

/// Waits until the schema is at least this program's. Says once what it waits for.
async fn wait(options: &PgConnectOptions, limit: Duration, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (began, mut teller, place) = (BootTime::now(), Teller::default(), Place::from(options));
    loop {
        let trouble = match look(options).await {
            Ok(schema) => match startup::schema_fits(&schema, &place) {
                Ok(()) => {
                    writeln!(out, "{}", nothing_to_do(&schema))?;
                    return Ok(());
                }
                Err(trouble) => trouble,
            },
            Err(trouble) => trouble,
        };
        let waited = BootTime::now().since(began);
        if waited >= limit {
            bail!("waited {} s in vain: {trouble}", limit.as_secs());
        }
        if teller.look(Some(&trouble), waited) == Say::Wrong {
            eprintln!("waiting: {trouble}");
        }
        tokio::time::sleep(PAUSE.min(limit.saturating_sub(waited))).await;
    }
}

/// Pure. The message when there is nothing to do.
fn nothing_to_do(schema: &Schema) -> String {
    let known = server::newest_known();
    match schema.unknown.iter().max() {
        Some(newer) => {
            format!("the schema is at {newer}, newer than this binary ({known}), which runs on it: nothing to do")
        }
        None => format!("the schema is up to date at {known}: nothing to do"),
    }
}

/// Pure. The message after a migration: the versions before and after.
fn what_was_done(before: &Schema, after: &Schema) -> String {
    let from = before.newest.map_or_else(|| "an empty database".to_owned(), |version| version.to_string());
    let to = after.newest.unwrap_or_default();
    let list: Vec<String> = before.pending.iter().map(ToString::to_string).collect();
    format!("the schema was brought from {from} to {to} by {} migrations: {}", list.len(), list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did() {
        let schema = |newest, pending: &[i64], unknown: &[i64]| Schema {
            newest,
            pending: pending.to_vec(),
            unknown: unknown.to_vec(),
            unfinished: None,
        };
        let done = what_was_done(&schema(None, &[1, 2], &[]), &schema(Some(2), &[], &[]));
        assert_eq!(done, "the schema was brought from an empty database to 2 by 2 migrations: 1, 2");
        assert!(nothing_to_do(&schema(Some(1), &[], &[])).starts_with("the schema is up to date at 2026"));
        let newer = nothing_to_do(&schema(Some(3), &[], &[99_999_999_999_999]));
        assert!(newer.starts_with("the schema is at 99999999999999, newer than this binary"), "{newer}");
    }
}
