//! Reads of credentials. They need no fence.

use super::record::{CredentialStore, Record, Row};
use crate::error::Result;
use crate::messages::inbound;

impl CredentialStore {
    /// The record with this name.
    ///
    /// # Errors
    /// If the database fails, or the record does not open.
    pub async fn get(&self, kind: i16, name: &str) -> Result<Option<Record>> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 AND name = $3",
            self.fence.account.0,
            kind,
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// The named records that exist, in no particular order.
    ///
    /// # Errors
    /// If the database fails, or a record does not open.
    pub async fn get_many(&self, kind: i16, names: &[String]) -> Result<Vec<Record>> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 AND name = ANY($3)",
            self.fence.account.0,
            kind,
            names
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// All records of a kind, ordered by name.
    ///
    /// # Errors
    /// If the database fails, or a record does not open.
    pub async fn list(&self, kind: i16) -> Result<Vec<Record>> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2 ORDER BY name",
            self.fence.account.0,
            kind
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| self.open(kind, row)).collect()
    }

    /// The record with the highest number; of several, the one that was written last.
    ///
    /// # Errors
    /// If the database fails, or the record does not open.
    pub async fn last(&self, kind: i16) -> Result<Option<Record>> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, number, key_id, sealed FROM credentials WHERE account_id = $1 AND kind = $2
             ORDER BY number DESC, updated_at DESC LIMIT 1",
            self.fence.account.0,
            kind
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.open(kind, row)).transpose()
    }

    /// Whether a record exists.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn exists(&self, kind: i16, name: &str) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM credentials WHERE account_id = $1 AND kind = $2 AND name = $3) AS "found!""#,
            self.fence.account.0,
            kind,
            name
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Whether the account has stored a received message under this WhatsApp id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_received(&self, whatsapp_id: &str) -> Result<bool> {
        inbound::is_known(&self.pool, self.fence.account, whatsapp_id).await
    }

    /// Whether any of these kinds has a record whose name begins with any of these prefixes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn exists_with_prefix(&self, kinds: &[i16], prefixes: &[String]) -> Result<bool> {
        let found = sqlx::query_scalar!(
            r#"
            SELECT EXISTS (
                SELECT 1 FROM credentials c JOIN unnest($3::text[]) AS p(prefix) ON starts_with(c.name, p.prefix)
                WHERE c.account_id = $1 AND c.kind = ANY($2)
            ) AS "found!"
            "#,
            self.fence.account.0,
            kinds,
            prefixes
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }
}
