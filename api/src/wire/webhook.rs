//! Webhooks in answers of the API.

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
    /// The address to which events are posted.
    #[schema(example = "https://example.com/hook")]
    pub url: String,
    /// The kinds of events; an empty list means all kinds.
    pub kinds: Vec<String>,
    /// Whether it is in use.
    pub enabled: bool,
    /// Why Switchboard disabled it: `failing` (no attempt has succeeded for three days) or `gone` (the receiver
    /// answered 410). Null if it is enabled, or if you disabled it.
    pub disabled_reason: Option<String>,
    /// The number of attempts that failed or were refused since the last success.
    pub failures: i32,
    /// Since when no attempt has succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    /// The id of the key that created it; null if that is not known.
    pub created_by: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
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
    /// The secret that signs each request. It is shown only once and can't be read again.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDFB7OQLEVDsY=")]
    secret: String,
}

impl From<(webhooks::Webhook, String)> for WebhookWithSecret {
    fn from((row, secret): (webhooks::Webhook, String)) -> Self {
        Self { webhook: row.into(), secret }
    }
}
