//! Rings again for rows that have waited longer than a bell takes: bells may be lost, rows are not.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::Bell;
use store::{ForAllTenants, Result, waiting};
use uuid::Uuid;

use crate::context::Context;
use crate::duty::{Duty, Round};

/// The most bells of one page.
const PAGE: i64 = 500;
/// The most pages of one kind in one round. Each queue holds at most a thousand bells anyway.
const PAGES: usize = 20;

/// The duty.
pub struct RingAgain {
    /// How long a row waits before its bell is rung again.
    pub age: Duration,
}

#[async_trait]
impl Duty for RingAgain {
    fn name(&self) -> &'static str {
        "ring_again"
    }

    fn interval(&self) -> Duration {
        self.age
    }

    async fn run_once(&self, context: &Context) -> anyhow::Result<Round> {
        let mut rung = walk(context, self.age, waiting::runs).await?;
        rung += walk(context, self.age, waiting::unpairings).await?;
        rung += walk(context, self.age, waiting::pairings).await?;
        rung += walk(context, self.age, waiting::sends).await?;
        rung += walk(context, self.age, waiting::unowned).await?;
        Ok(Round::of(rung))
    }
}

/// Rings for every page of one kind. Returns how many bells were new.
async fn walk<'a, F>(
    context: &'a Context,
    age: Duration,
    page: impl Fn(ForAllTenants<'a>, Duration, Option<Uuid>, i64) -> F,
) -> anyhow::Result<usize>
where
    F: Future<Output = Result<Vec<Bell>>>,
{
    let mut rung = 0;
    let mut after = None;
    for _ in 0..PAGES {
        let bells = page(context.store.for_all_tenants(), age, after, PAGE).await?;
        rung += context.ring(&bells).await;
        match bells.last() {
            Some(last) if i64::try_from(bells.len()).unwrap_or(i64::MAX) >= PAGE => after = Some(id_of(last)),
            _ => break,
        }
    }
    Ok(rung)
}

fn id_of(bell: &Bell) -> Uuid {
    match bell {
        Bell::Pair { account } | Bell::Unpair { account } | Bell::Send { account } => account.0,
        Bell::FireReminder { run } => run.0,
    }
}
