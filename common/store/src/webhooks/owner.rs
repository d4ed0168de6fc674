//! The right of a worker to follow a webhook.

use domain::id::{TenantId, WebhookId, WorkerId};
use uuid::Uuid;

use crate::batched::Right;

/// A webhook, and the worker that owns it. What it reads and writes together with others keeps its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The webhook's tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
    /// The worker.
    pub worker: WorkerId,
}

impl Right for Owner {
    fn whose(self) -> Uuid {
        self.webhook.0
    }

    fn agrees_with(self, other: Self) -> bool {
        self == other
    }
}
