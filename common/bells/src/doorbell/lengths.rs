//! How many bells lie in the queues, for operators.

use super::{Doorbell, Result};
use domain::job::Queue;

impl Doorbell {
    /// How many jobs lie in each of these queues, in order: both those that are due and those that are due later.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn lengths(&self, queues: &[Queue]) -> Result<Vec<i64>> {
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for queue in queues {
            let config = self.config(*queue);
            pipeline.cmd("LLEN").arg(config.active_jobs_list()).cmd("ZCARD").arg(config.scheduled_jobs_set());
        }
        let lengths: Vec<i64> = pipeline.query_async(&mut self.ringing.clone()).await?;
        let (lengths, _) = lengths.as_chunks::<2>();
        Ok(lengths.iter().map(|[due, later]| due + later).collect())
    }
}
