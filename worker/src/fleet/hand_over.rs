//! Carries out an operator's request: gives single accounts back, and takes accounts that were given back for this
//! worker.

use store::{answered, hand_overs};

use super::supervisor::Supervisor;

impl Supervisor {
    /// Looks once for requests to this worker, and carries them out.
    pub async fn hand_over(&self) {
        let context = &self.0.context;
        let asked = match answered(hand_overs::of(context.store.for_all_tenants(), context.worker)).await {
            Ok(asked) => asked,
            Err(error) => {
                tracing::debug!(%error, "could not look for accounts to hand over");
                return;
            }
        };
        for ask in &asked {
            if ask.owned && self.give_back(ask.account, ask.epoch) {
                tracing::info!(account = %ask.account, "giving an account back, as an operator asked");
            }
        }
        let mine: Vec<_> = asked.iter().filter(|ask| !ask.owned).map(|ask| ask.account).collect();
        if mine.is_empty() {
            return;
        }
        match self.claim(&mine, usize::MAX).await {
            Ok(claimed) => tracing::info!(count = claimed.len(), "took accounts that an operator handed over"),
            Err(error) => tracing::warn!(%error, "could not take what an operator handed over"),
        }
    }
}
