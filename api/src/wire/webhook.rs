//! A webhook, as it is answered.

use chrono::{DateTime, Utc};
use domain::id::WebhookId;
use serde::Serialize;
use store::webhooks;
use utoipa::ToSchema;

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where events are posted to.
    #[schema(example = "https://example.com/hook")]
    pub url: String,
    /// Which kinds of events; empty: all.
    pub kinds: Vec<String>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Why Switchboard disabled it: `failing` (no attempt has succeeded for three days) or `gone` (the receiver answered
    /// 410); null if you did.
    pub disabled_reason: Option<String>,
    /// Attempts that failed, or were refused, since the last that succeeded.
    pub failures: i32,
    /// Since when none has succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    /// Who made it: a key's id; null: not known.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

impl From<webhooks::Webhook> for Webhook {
    fn from(row: webhooks::Webhook) -> Self {
        Self {
            id: row.id,
            url: row.url,
            kinds: row.kinds,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            failures: row.failures,
            failing_since: row.failing_since,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A webhook and its secret.
#[derive(Serialize, ToSchema)]
pub struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: Webhook,
    /// Signs each request. It is shown this once and can't be read again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDFB7OQLEVDsY=")]
    secret: String,
}

impl From<(webhooks::Webhook, String)> for WebhookWithSecret {
    fn from((row, secret): (webhooks::Webhook, String)) -> Self {
        Self { webhook: row.into(), secret }
    }
}
