//! Acknowledgements that arrive after the delivery window has closed and the run is over.

use sqlx::PgPool;
use store::outbox::{self, Outcome};
use store::runs::{settle_runs, unsettled_runs};
use store::{Fence, MIGRATOR, Store};

use super::{account, count, leave_outbox, text};
use crate::runs::under_way;

/// R45, R46: a run failed because its window closed with nothing sent. Later acknowledgements correct it: each target
/// whose texts were all sent, and the run with them. Its reminder stays paused.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_run_that_failed_too_early_is_corrected(db: PgPool) {
    let store = Store::from(db.clone());
    let of = account(&db, "connected").await;
    let (reminder, run) = under_way(&db, of, 2).await;
    for position in 0..2 {
        leave_outbox(&db, run, position, "expired").await;
    }
    settle_runs(store.for_all_tenants(), &[run]).await.unwrap().quietly();
    let stands = async || {
        let row = "SELECT status || ': ' || summary || ' ' || (finished_at IS NOT NULL) FROM runs WHERE id = $1";
        text(&db, row, run.0).await.unwrap()
    };
    assert_eq!(stands().await, "failed: 0 of 2 sent, 2 pending true");
    let epoch = sqlx::query_scalar("SELECT epoch FROM leases").fetch_one(&db).await.unwrap();
    let flying: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM messages ORDER BY seq").fetch_all(&db).await.unwrap();
    for (message, becomes) in flying.into_iter().zip([
        "failed: 0 of 2 sent, 2 pending true",
        "partial: 1 of 2 sent, 1 pending true",
        "partial: 1 of 2 sent, 1 pending true",
        "success: 2 of 2 sent true",
    ]) {
        let outcome = Outcome { id: message.into(), attempts: 1, failure: None };
        let touched = outbox::finish(store.under(Fence { account: of.1, epoch }), vec![outcome]).await.unwrap();
        assert!(settle_runs(store.for_all_tenants(), &touched).await.unwrap().quietly().is_empty());
        assert_eq!(stands().await, becomes);
    }
    let targets =
        "SELECT count(*) FROM run_targets WHERE state = 'sent' AND reason IS NULL AND finished_at IS NOT NULL";
    assert_eq!(count(&db, targets).await, 2);
    let told = "SELECT string_agg(data ->> 'status', ',' ORDER BY id) FROM events WHERE kind = 'run.changed' AND data ->> 'run_id' = $1::text";
    assert_eq!(text(&db, told, run.0).await.as_deref(), Some("failed,partial,success"));
    let rests = "SELECT status FROM reminders WHERE id = $1";
    assert_eq!(text(&db, rests, reminder.0).await.as_deref(), Some("paused"));
    assert!(unsettled_runs(store.for_all_tenants(), 10).await.unwrap().is_empty());
}
