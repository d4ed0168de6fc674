//! SQL of `settings`: values that the whole installation shares.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use super::error::{Error, Result};

/// Reads a setting that is at most `max_age_s` seconds old.
///
/// # Errors
/// `Corrupt` if it can't be read as `T`; otherwise if the database fails.
pub async fn get<T: DeserializeOwned>(pool: &PgPool, name: &str, max_age_s: f64) -> Result<Option<T>> {
    let value = sqlx::query_scalar!(
        "SELECT value FROM settings WHERE name = $1 AND updated_at > now() - make_interval(secs => $2)",
        name,
        max_age_s
    )
    .fetch_optional(pool)
    .await?;
    value.map(|v| serde_json::from_value(v).map_err(|e| Error::Corrupt(format!("setting {name}: {e}")))).transpose()
}

/// Writes a setting.
///
/// # Errors
/// If the database fails.
pub async fn put<T: Serialize + Sync>(pool: &PgPool, name: &str, value: &T) -> Result<()> {
    let value = serde_json::to_value(value).map_err(|e| Error::Corrupt(format!("setting {name}: {e}")))?;
    sqlx::query!(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, updated_at = now()",
        name,
        value
    )
    .execute(pool)
    .await?;
    Ok(())
}
