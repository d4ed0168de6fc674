//! Accounts in answers of the API.

use chrono::{DateTime, Utc};
use domain::account::{self, Action, Status, Step};
use domain::id::AccountId;
use process::clock;
use serde::Serialize;
use store::accounts;
use utoipa::ToSchema;

/// An account, and what may be done with it.
#[derive(Serialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its label.
    #[schema(example = "Sales, front desk")]
    pub label: String,
    /// Its current status.
    pub status: Status,
    /// The reason for the status, if there is more to say.
    pub status_reason: Option<String>,
    /// The number of the linked phone, digits only; null if no phone is linked.
    #[schema(example = "4917012345678")]
    pub phone_number: Option<String>,
    /// The address of the linked device.
    pub jid: Option<String>,
    /// WhatsApp's hidden id of the phone, if it is known.
    pub lid: Option<String>,
    /// The name that the phone's owner chose.
    pub push_name: Option<String>,
    /// When a phone was last linked; kept after an unpair.
    pub linked_at: Option<DateTime<Utc>>,
    /// When its socket last opened.
    pub connected_at: Option<DateTime<Utc>>,
    /// When its socket last closed.
    pub disconnected_at: Option<DateTime<Utc>>,
    /// The end of a temporary ban.
    pub banned_until: Option<DateTime<Utc>>,
    /// Until then WhatsApp lets the account write to nobody new. Its messages wait.
    pub held_until: Option<DateTime<Utc>>,
    /// When the groups were last read.
    pub groups_synced_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// The pairing under way, while it waits for a person. `pairing` shows more of it.
    pub pairing: Option<Waiting>,
    /// Why queued messages do not go out now, and until when; null if nothing keeps them.
    pub waiting: Option<account::Wait>,
    /// What may be done with it now. A client can show each action as a button.
    pub actions: &'static [Action],
}

/// What a pairing waits for.
#[derive(Serialize, ToSchema)]
pub struct Waiting {
    /// What must be done.
    pub step: Step,
    /// Advice for a person.
    pub advice: Option<String>,
}

impl From<accounts::Account> for Account {
    fn from(row: accounts::Account) -> Self {
        let pairing = row.step.map(|step| Waiting { step, advice: row.advice });
        let waiting = account::waits(row.status, row.banned_until, row.held_until, clock::now());
        Self {
            id: row.id,
            label: row.label,
            status: row.status,
            status_reason: row.status_reason,
            phone_number: row.phone_number,
            jid: row.jid,
            lid: row.lid,
            push_name: row.push_name,
            linked_at: row.linked_at,
            connected_at: row.connected_at,
            disconnected_at: row.disconnected_at,
            banned_until: row.banned_until,
            held_until: row.held_until,
            groups_synced_at: row.groups_synced_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            pairing,
            waiting,
            actions: account::actions(row.status),
        }
    }
}

/// A delete that is under way: the device is being logged out.
#[derive(Serialize, ToSchema)]
pub struct Deleting {
    /// Always `deleting`.
    #[schema(example = "deleting")]
    pub status: &'static str,
}
