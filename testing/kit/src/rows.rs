//! Rows that tests start from. Each has what the schema demands, and what the test says.
#![allow(clippy::unwrap_used, reason = "test support: a failure is a panic")]

use domain::id::{AccountId, MessageId, ReminderId, TenantId, WorkerId};
use sqlx::PgPool;
use store::Fence;

/// A tenant.
pub async fn tenant(db: &PgPool) -> TenantId {
    let tenant = TenantId::new();
    sqlx::query("INSERT INTO tenants (id, name) VALUES ($1, 'Acme')").bind(tenant).execute(db).await.unwrap();
    tenant
}

/// A worker whose heartbeat is `silent_s` seconds old.
pub async fn worker(db: &PgPool, silent_s: f64, capacity: i32) -> WorkerId {
    let worker = WorkerId::new();
    let row = "INSERT INTO workers (id, name, version, capacity, last_seen)
               VALUES ($1, 'w', '1', $2, now() - make_interval(secs => $3))";
    sqlx::query(row).bind(worker).bind(capacity).bind(silent_s).execute(db).await.unwrap();
    worker
}

/// An unpaired account of a new tenant, claimed once.
pub async fn claimed(db: &PgPool) -> Fence {
    let (_, account) = Account { epoch: 1, ..Account::of("unpaired") }.of_new_tenant(db).await;
    Fence { account, epoch: 1 }
}

/// An account, with its lease.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// The label.
    pub label: &'a str,
    /// Its status.
    pub status: &'a str,
    /// The wanted state.
    pub wanted: &'a str,
    /// The number of its phone. If it is `None`, a connected, disconnected or banned account gets the next number from
    /// 49170000001.
    pub number: Option<&'a str>,
    /// WhatsApp's address of the device.
    pub jid: Option<&'a str>,
    /// The owner of its lease.
    pub owner: Option<WorkerId>,
    /// The epoch of its lease: how often it was claimed.
    pub epoch: i64,
    /// Seconds since its last change.
    pub age_s: f64,
}

impl<'a> Account<'a> {
    /// An account with this status, wanted `online` unless it is `unpaired`.
    #[must_use]
    pub fn of(status: &'a str) -> Self {
        let wanted = if status == "unpaired" { "offline" } else { "online" };
        Self { label: "Front desk", status, wanted, number: None, jid: None, owner: None, epoch: 0, age_s: 0.0 }
    }

    /// Writes the row and its lease, and returns the id.
    pub async fn insert(self, db: &PgPool, tenant: TenantId) -> AccountId {
        let account = AccountId::new();
        let row = "WITH a AS (
                       INSERT INTO accounts (id, tenant_id, label, status, wanted, phone_number, jid, updated_at)
                       VALUES ($1, $2, $3, $4, $5,
                           coalesce($6, CASE WHEN $4 IN ('connected', 'disconnected', 'banned')
                               THEN (SELECT (49170000001 + count(*))::text FROM accounts) END),
                           $7, now() - make_interval(secs => $8))
                       RETURNING id, status),
                   p AS (
                       INSERT INTO pairings (account_id, method, window_ends_at)
                       SELECT id, 'qr', now() + interval '5 minutes' FROM a WHERE status = 'pending')
                   INSERT INTO leases (account_id, owner, epoch) SELECT id, $9, $10 FROM a";
        let row = sqlx::query(row).bind(account).bind(tenant).bind(self.label).bind(self.status).bind(self.wanted);
        let row = row.bind(self.number).bind(self.jid).bind(self.age_s).bind(self.owner).bind(self.epoch);
        row.execute(db).await.unwrap();
        account
    }

    /// Writes it with a new tenant.
    pub async fn of_new_tenant(self, db: &PgPool) -> (TenantId, AccountId) {
        let tenant = tenant(db).await;
        (tenant, self.insert(db, tenant).await)
    }
}

/// A queued message of an account.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The chat that it is sent to.
    pub chat: &'a str,
    /// Seconds since it was accepted.
    pub age_s: f64,
}

impl Message<'_> {
    /// Writes the row and returns the id.
    pub async fn insert(self, db: &PgPool, account: AccountId) -> MessageId {
        let message = MessageId::new();
        let row = "INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id, created_at)
                   SELECT $1, tenant_id, id, $3, 'hello', $1::text, now() - make_interval(secs => $4)
                   FROM accounts WHERE id = $2";
        let row = sqlx::query(row).bind(message).bind(account).bind(self.chat).bind(self.age_s);
        row.execute(db).await.unwrap();
        message
    }
}

/// A reminder in UTC.
#[derive(Debug, Clone)]
pub struct Reminder<'a> {
    /// Its recurrence; `None` if it fires once.
    pub rrule: Option<&'a str>,
    /// Seconds until it is due; negative if it is overdue.
    pub due_s: f64,
    /// Whether it is due at a whole second, like a reminder that the api creates.
    pub whole: bool,
    /// The hour at which its delivery window ends.
    pub window_end: Option<i16>,
    /// Its texts.
    pub texts: &'a [&'a str],
    /// Its targets.
    pub targets: Vec<String>,
}

impl Reminder<'_> {
    /// Writes the rows and returns the id.
    pub async fn insert(self, db: &PgPool, account: AccountId) -> ReminderId {
        let reminder = ReminderId::new();
        let rows = "WITH a AS (SELECT id, tenant_id FROM accounts WHERE id = $2),
                    r AS (
                        INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, rrule, window_end, next_fire_at)
                        SELECT $1, a.tenant_id, a.id, 'Stand-up', 'UTC', at AT TIME ZONE 'UTC', $3, $4, at
                        FROM a, (SELECT now() + make_interval(secs => $5)) AS d (due),
                             LATERAL (SELECT CASE WHEN $6 THEN date_trunc('second', due) ELSE due END) AS t (at)),
                    m AS (
                        INSERT INTO reminder_messages (tenant_id, reminder_id, position, body)
                        SELECT tenant_id, $1, n - 1, body FROM a, unnest($7::text[]) WITH ORDINALITY AS u (body, n))
                    INSERT INTO reminder_targets (tenant_id, reminder_id, position, chat)
                    SELECT tenant_id, $1, n - 1, chat FROM a, unnest($8::text[]) WITH ORDINALITY AS u (chat, n)";
        let rows = sqlx::query(rows).bind(reminder).bind(account).bind(self.rrule).bind(self.window_end);
        let rows = rows.bind(self.due_s).bind(self.whole).bind(self.texts).bind(&self.targets);
        rows.execute(db).await.unwrap();
        reminder
    }
}
