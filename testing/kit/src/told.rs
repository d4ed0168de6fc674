//! The events in the database, of all tenants.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::contract::Contract;
use domain::event::{Kind, schema};
use domain::id::{AccountId, TenantId};
use store::events::{Cursor, Happened, Recorded};

/// The schemas of all events of the registry.
static REGISTRY: LazyLock<Contract> = LazyLock::new(|| {
    let mut schemas = Vec::new();
    schema::all(&mut schemas);
    let schemas: BTreeMap<_, _> = schemas.into_iter().collect();
    Contract::of(json!({"components": {"schemas": schemas}}))
});

/// Checks all events in the database. Returns each difference once: a kind that the registry lacks, or data that does
/// not match its schema. There must be none.
///
/// # Errors
/// If the database fails.
pub async fn wrong_events(db: &PgPool) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(Option<AccountId>, String, Value, chrono::DateTime<chrono::Utc>)> =
        sqlx::query_as("SELECT account_id, kind, data, created_at FROM events").fetch_all(db).await?;
    let mut wrong: Vec<String> = rows
        .into_iter()
        .filter_map(|(account, kind, data, created_at)| {
            let known = Kind::parse(&kind);
            let event = Recorded {
                cursor: Cursor { txid: 0, id: 0 },
                account,
                kind,
                data,
                created_at,
                trace: None,
                age_s: 0.0,
            };
            let happened = Happened::from(event);
            let Some(kind) = known else { return Some(format!("`{}` is no kind", happened.kind)) };
            REGISTRY.check_named(&kind.schema_name(), &json!(happened)).err()
        })
        .collect();
    wrong.sort_unstable();
    wrong.dedup();
    Ok(wrong)
}

/// Writes an event with any kind and data, as another release may do.
///
/// # Errors
/// If the database fails.
pub async fn put_event(
    connection: &mut PgConnection,
    tenant: TenantId,
    account: Option<AccountId>,
    kind: &str,
    data: &Value,
) -> sqlx::Result<()> {
    let put = "SELECT write_events(ARRAY[ROW($1, $2, $3, $4, NULL)::new_event])";
    sqlx::query(put).bind(tenant).bind(account).bind(kind).bind(data).execute(connection).await?;
    Ok(())
}
