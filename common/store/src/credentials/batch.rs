//! Records of many sessions, written together in one statement.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgPool;
use uuid::Uuid;

use super::record::{Row, Turn};
use crate::batched::{Batch, answers};
use crate::error::{Error, Result};
use crate::fence::{Fence, Fences, fenced_each};

/// A record of this many bytes counts as a further row of a batch.
const LONG: usize = 4_096;

/// Records that are written or deleted by name.
pub(super) struct Records;

/// One call: records of one kind.
pub(super) struct Write {
    pub(super) kind: i16,
    pub(super) change: Change,
    /// The store waits for it when it is closed.
    pub(super) turn: Turn,
}

pub(super) enum Change {
    /// Replaces records of the same names.
    Put(Vec<Row>),
    /// Deletes records of these names.
    Delete(Vec<String>),
}

impl Write {
    pub(super) fn is_empty(&self) -> bool {
        Records::rows(self) == 0
    }
}

/// Sealed records of several accounts and kinds, as columns for `unnest`.
#[derive(Default)]
struct Columns {
    accounts: Vec<Uuid>,
    kinds: Vec<i16>,
    names: Vec<String>,
    numbers: Vec<i64>,
    key_ids: Vec<String>,
    sealed: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, account: Uuid, kind: i16, row: &Row) {
        self.accounts.push(account);
        self.kinds.push(kind);
        self.names.push(row.name.clone());
        self.numbers.push(row.number);
        self.key_ids.push(row.key_id.clone());
        self.sealed.push(row.sealed.clone());
    }
}

impl Batch for Records {
    type Right = Fence;
    type Means = PgPool;
    type Call = Write;
    type Done = ();

    const WHAT: &'static str = "credentials";

    fn rows(write: &Write) -> usize {
        match &write.change {
            // long ones count for several
            Change::Put(rows) => rows.iter().map(|row| 1 + row.sealed.len() / LONG).sum(),
            Change::Delete(names) => names.len(),
        }
    }

    fn is_closed(write: &Write) -> bool {
        write.turn.is_closed()
    }

    async fn run(pool: &PgPool, writes: &[(Fence, Write)]) -> Result<Vec<Result<()>>> {
        // one statement can't change a row twice: of each record, the last change counts
        let mut last: BTreeMap<(Uuid, i16, &str), Option<&Row>> = BTreeMap::new();
        for (Fence { account, .. }, Write { kind, change, .. }) in writes {
            match change {
                Change::Put(rows) => last.extend(rows.iter().map(|row| ((account.0, *kind, &*row.name), Some(row)))),
                Change::Delete(names) => last.extend(names.iter().map(|name| ((account.0, *kind, &**name), None))),
            }
        }
        let (mut put, mut gone) = (Columns::default(), (Vec::new(), Vec::new(), Vec::new()));
        for ((account, kind, name), row) in last {
            match row {
                Some(row) => put.push(account, kind, row),
                None => {
                    gone.0.push(account);
                    gone.1.push(kind);
                    gone.2.push(name.to_owned());
                }
            }
        }
        let fences = Fences::of(writes);
        let held = fenced_each!(
            query_scalar,
            fences,
            r#"
            put AS (
                INSERT INTO credentials AS c (account_id, kind, name, number, key_id, sealed)
                SELECT t.account_id, t.kind, t.name, t.number, t.key_id, t.sealed
                FROM unnest($3::uuid[], $4::smallint[], $5::text[], $6::bigint[], $7::text[], $8::bytea[])
                    AS t(account_id, kind, name, number, key_id, sealed) JOIN f ON f.account_id = t.account_id
                ORDER BY t.account_id, t.kind, t.name
                ON CONFLICT (account_id, kind, name) DO UPDATE
                SET number = excluded.number, key_id = excluded.key_id, sealed = excluded.sealed, updated_at = now()
            ), gone AS (
                DELETE FROM credentials c
                USING unnest($9::uuid[], $10::smallint[], $11::text[]) AS t(account_id, kind, name)
                    JOIN f ON f.account_id = t.account_id
                WHERE c.account_id = t.account_id AND c.kind = t.kind AND c.name = t.name
            )
            SELECT account_id FROM f
            "#,
            &put.accounts,
            &put.kinds,
            &put.names,
            &put.numbers,
            &put.key_ids,
            &put.sealed,
            &gone.0,
            &gone.1,
            &gone.2
        )
        .fetch_all(pool)
        .await?;
        Ok(answers(writes, held.into_iter().map(|account| (account, ())).collect()))
    }
}

/// Records that are written if their names are new.
pub(super) struct NewRecords;

/// One call: records of one kind. Its answer are the names that existed already.
pub(super) struct Additions {
    pub(super) kind: i16,
    pub(super) rows: Vec<Row>,
    /// The store waits for it when it is closed.
    pub(super) turn: Turn,
}

impl Batch for NewRecords {
    type Right = Fence;
    type Means = PgPool;
    type Call = Additions;
    type Done = Vec<String>;

    const WHAT: &'static str = "new credentials";

    fn rows(additions: &Additions) -> usize {
        additions.rows.len()
    }

    fn is_closed(additions: &Additions) -> bool {
        additions.turn.is_closed()
    }

    async fn run(pool: &PgPool, calls: &[(Fence, Additions)]) -> Result<Vec<Result<Vec<String>>>> {
        // of each name, the first call's record is new; to the calls after it the name exists
        let mut first: BTreeMap<(Uuid, i16, &str), (usize, &Row)> = BTreeMap::new();
        for (nth, (Fence { account, .. }, Additions { kind, rows, .. })) in calls.iter().enumerate() {
            for row in rows {
                first.entry((account.0, *kind, &row.name)).or_insert((nth, row));
            }
        }
        let mut columns = Columns::default();
        for ((account, kind, _), (_, row)) in &first {
            columns.push(*account, *kind, row);
        }
        let fences = Fences::of(calls);
        let rows = fenced_each!(
            query,
            fences,
            r#"
            added AS (
                INSERT INTO credentials (account_id, kind, name, number, key_id, sealed)
                SELECT t.account_id, t.kind, t.name, t.number, t.key_id, t.sealed
                FROM unnest($3::uuid[], $4::smallint[], $5::text[], $6::bigint[], $7::text[], $8::bytea[])
                    AS t(account_id, kind, name, number, key_id, sealed) JOIN f ON f.account_id = t.account_id
                ORDER BY t.account_id, t.kind, t.name
                ON CONFLICT (account_id, kind, name) DO NOTHING
                RETURNING account_id, kind, name
            )
            SELECT f.account_id, a.kind AS "kind?", a.name AS "name?" FROM f LEFT JOIN added a ON a.account_id = f.account_id
            "#,
            &columns.accounts,
            &columns.kinds,
            &columns.names,
            &columns.numbers,
            &columns.key_ids,
            &columns.sealed
        )
        .fetch_all(pool)
        .await?;
        let held: HashSet<Uuid> = rows.iter().map(|row| row.account_id).collect();
        let added: HashSet<_> =
            rows.iter().filter_map(|row| Some((row.account_id, row.kind?, row.name.as_deref()?))).collect();
        let answers = calls.iter().enumerate().map(|(nth, (Fence { account, .. }, asked))| {
            if !held.contains(&account.0) {
                return Err(Error::Fenced);
            }
            let is_present = |name: &&String| {
                let record = (account.0, asked.kind, name.as_str());
                !added.contains(&record) || first.get(&record).is_none_or(|(by, _)| *by != nth)
            };
            Ok(asked.rows.iter().map(|row| &row.name).filter(is_present).cloned().collect())
        });
        Ok(answers.collect())
    }
}
