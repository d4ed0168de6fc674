//! The right of a live session to write, and the SQL that checks it: for one session, and for many in one statement.
//!
//! A write of a session locks its account's lease row against a claim (`FOR SHARE`) and checks the epoch. A plain
//! `EXISTS` is not enough: a claim could commit between the check and the write.
//!
//! The check is text that becomes part of each statement, and not a function in SQL. Postgres can't inline a function
//! that locks rows, so a function would cost each write an extra call.

use std::collections::BTreeMap;

use domain::id::AccountId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::error::{Error, Result};

/// The right to write for an account: the account, and the epoch under which it was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The account.
    pub account: AccountId,
    /// The number of the claim. A later claim has a higher one.
    pub epoch: i64,
}

/// Makes a statement of a live session with `sqlx::query!` or a similar macro: `fenced!(query_scalar, fence, r#"…"#,
/// arguments…)`. The text begins with a common table expression. It can read `f`, which has one row (`account_id`)
/// while the fence holds, and none otherwise. `$1` is the account, `$2` the epoch, and the arguments begin with `$3`.
macro_rules! fenced {
    ($query:ident, $fence:expr, $text:literal $(, $argument:expr)* $(,)?) => {
        sqlx::$query!(
            "WITH f AS (SELECT account_id FROM leases WHERE account_id = $1 AND epoch = $2 FOR SHARE), " + $text,
            $fence.account.0,
            $fence.epoch
            $(, $argument)*
        )
    };
}
pub(crate) use fenced;

/// Makes a statement of many live sessions: `fenced_each!(query_scalar, fences, r#"…"#, arguments…)`. Here `f` has one
/// row (`account_id`) for each account whose fence holds. `$1` are the accounts, `$2` the epochs ([`Fences`]), and the
/// arguments begin with `$3`. Lease rows are locked in the order in which claims lock them.
macro_rules! fenced_each {
    ($query:ident, $fences:expr, $text:literal $(, $argument:expr)* $(,)?) => {
        sqlx::$query!(
            "WITH f AS (
                SELECT l.account_id FROM leases l JOIN unnest($1::uuid[], $2::bigint[]) AS t(account_id, epoch)
                    ON l.account_id = t.account_id AND l.epoch = t.epoch
                ORDER BY l.account_id FOR SHARE OF l
            ), " + $text,
            &$fences.accounts,
            &$fences.epochs
            $(, $argument)*
        )
    };
}
pub(crate) use fenced_each;

/// The fences of many sessions, as columns: one row per account.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    /// The accounts.
    pub(crate) accounts: Vec<Uuid>,
    /// The epoch of each.
    pub(crate) epochs: Vec<i64>,
}

impl Fences {
    /// The fences of these calls.
    pub(crate) fn of<C>(calls: &[(Fence, C)]) -> Self {
        let fences: BTreeMap<Uuid, i64> = calls.iter().map(|(fence, _)| (fence.account.0, fence.epoch)).collect();
        let (accounts, epochs) = fences.into_iter().unzip();
        Self { accounts, epochs }
    }
}

/// Keeps claims out until the end of the transaction. For steps with several statements.
///
/// # Errors
/// [`Error::Fenced`] if the account has been claimed or removed since.
pub(crate) async fn hold(transaction: &mut PgConnection, fence: Fence) -> Result<()> {
    let rows = fenced!(query_scalar, fence, r#"held AS (SELECT FROM f) SELECT count(*) AS "rows!" FROM held"#);
    held(rows.fetch_one(transaction).await?)
}

/// Interprets the number of rows of `f`.
///
/// # Errors
/// [`Error::Fenced`] if it is 0.
pub(crate) fn held(rows: i64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Fenced) }
}
