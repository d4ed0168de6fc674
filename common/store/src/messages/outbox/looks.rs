//! Reads the messages that a session still has to send.

use sqlx::PgPool;
use uuid::Uuid;

use crate::batched::Batch;
use crate::error::Result;
use crate::fence::Fence;
use crate::scope::Under;
use domain::id::{MessageId, RunId};

/// A queued message.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The id of its row.
    pub id: MessageId,
    /// Its position in the account's order.
    pub seq: i64,
    /// The canonical JID of the chat.
    pub chat: String,
    /// The text.
    pub body: String,
    /// The WhatsApp id, the same for every attempt.
    pub whatsapp_id: String,
    /// How often it was handed over before.
    pub attempts: i32,
    /// The run that it belongs to, if a reminder created it.
    pub run: Option<RunId>,
    /// Its age when it was read, in seconds, by the database's clock.
    pub age_s: f64,
    /// Seconds until it must not be sent any more, by the database's clock when it was read; `None`: no limit.
    pub expires_in_s: Option<f64>,
    /// The W3C `traceparent` of the trace that it belongs to.
    pub trace: Option<String>,
}

/// The account's oldest queued messages, in order. Expired ones, and those accepted for another phone, are left out. A
/// deleted account has none.
///
/// # Errors
/// If it can't be read. A newer claim is not noticed here: every write notices it.
pub async fn waiting(under: Under<'_>, limit: i64) -> Result<Vec<Waiting>> {
    let Under { batches, fence, .. } = under;
    batches.call::<Looks>(fence, limit).await
}

/// The outboxes of many sessions, read in one statement. Each costs the same, however many messages are queued.
struct Looks;

/// How many rows one look counts for in a batch. Most find few messages, and none more than its limit.
const LOOK: usize = 16;

impl Batch for Looks {
    type Right = Fence;
    type Means = PgPool;
    type Call = i64;
    type Done = Vec<Waiting>;

    const WHAT: &'static str = "a look at outboxes";

    fn rows(_limit: &i64) -> usize {
        LOOK
    }

    async fn run(pool: &PgPool, looks: &[(Fence, i64)]) -> Result<Vec<Result<Vec<Waiting>>>> {
        let accounts: Vec<Uuid> = looks.iter().map(|(fence, _)| fence.account.0).collect();
        let limits: Vec<i64> = looks.iter().map(|(_, limit)| *limit).collect();
        let rows = sqlx::query!(
            r#"
            SELECT t.nth AS "nth!", m.id AS "id: MessageId", m.seq, m.chat, m.body, m.whatsapp_id, m.attempts, m.run_id AS "run: RunId",
                   extract(epoch FROM clock_timestamp() - m.created_at)::float8 AS "age_s!",
                   extract(epoch FROM m.expires_at - clock_timestamp())::float8 AS expires_in_s, m.trace
            FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY AS t(account_id, most, nth)
            JOIN accounts a ON a.id = t.account_id AND a.wanted NOT IN ('erased', 'unlinked')
            CROSS JOIN LATERAL (
                SELECT * FROM messages q
                WHERE q.account_id = a.id AND q.state = 'queued' AND (q.expires_at IS NULL OR q.expires_at > now())
                  AND (q.sender IS NULL OR q.sender = a.phone_number)
                ORDER BY q.seq LIMIT t.most) m
            ORDER BY m.seq
            "#,
            &accounts,
            &limits
        )
        .fetch_all(pool)
        .await?;
        let mut found: Vec<Vec<Waiting>> = looks.iter().map(|_| Vec::new()).collect();
        for row in rows {
            let nth = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
            let Some(found) = found.get_mut(nth) else { continue };
            found.push(Waiting {
                id: row.id,
                seq: row.seq,
                chat: row.chat,
                body: row.body,
                whatsapp_id: row.whatsapp_id,
                attempts: row.attempts,
                run: row.run,
                age_s: row.age_s,
                expires_in_s: row.expires_in_s,
                trace: row.trace,
            });
        }
        Ok(found.into_iter().map(Ok).collect())
    }
}

/// The oldest queued message of each of up to `limit` chats, in the order of chats, behind the chat `behind`. Otherwise
/// as [`waiting`]. For an account whose oldest messages are all for a few chats: it costs the same, however many those
/// are.
///
/// # Errors
/// If the database fails.
pub async fn waiting_chats(under: Under<'_>, behind: &str, limit: i64) -> Result<Vec<Waiting>> {
    let Under { pool, fence: Fence { account, .. }, .. } = under;
    let rows = sqlx::query_as!(
        Waiting,
        r#"
        WITH RECURSIVE a AS (
            SELECT id, phone_number FROM accounts WHERE id = $1 AND wanted NOT IN ('erased', 'unlinked')
        ), c AS (
            SELECT NULL::uuid AS id, $2 AS chat FROM a
            UNION ALL
            SELECT n.id, n.chat FROM c CROSS JOIN a CROSS JOIN LATERAL (
                SELECT q.id, q.chat FROM messages q
                WHERE q.account_id = a.id AND q.state = 'queued' AND q.chat > c.chat
                  AND (q.expires_at IS NULL OR q.expires_at > now()) AND (q.sender IS NULL OR q.sender = a.phone_number)
                ORDER BY q.chat, q.seq LIMIT 1) n
        )
        SELECT m.id AS "id: MessageId", m.seq, m.chat, m.body, m.whatsapp_id, m.attempts, m.run_id AS "run: RunId",
               extract(epoch FROM clock_timestamp() - m.created_at)::float8 AS "age_s!",
               extract(epoch FROM m.expires_at - clock_timestamp())::float8 AS expires_in_s, m.trace
        FROM (SELECT id FROM c LIMIT $3::bigint + 1) found JOIN messages m ON m.id = found.id
        ORDER BY m.chat
        "#,
        account.0,
        behind,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
