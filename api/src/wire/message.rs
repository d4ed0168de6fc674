//! Messages in answers of the API.

use chrono::{DateTime, Utc};
use domain::account::{self, Wait};
use domain::id::{AccountId, MessageId, RunId};
use domain::message::State;
use process::clock;
use serde::Serialize;
use store::messages;
use utoipa::ToSchema;

/// An outbound message, and what it waits for.
#[derive(Serialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The account that sends it.
    pub account_id: AccountId,
    /// The recipient's address, in canonical form.
    #[schema(example = "4917012345678@s.whatsapp.net")]
    pub to: String,
    /// The text.
    pub text: String,
    /// Its state.
    pub state: State,
    /// Why it will not be sent, in words for a person.
    pub reason: Option<String>,
    /// Its id on WhatsApp, the same at every attempt.
    #[schema(example = "3EB0C431C26A1916E07A9B")]
    pub whatsapp_id: String,
    /// How often it was handed to WhatsApp. If a worker dies or loses the account, attempts that had no answer yet are
    /// not counted.
    pub attempts: i32,
    /// The run of a reminder that it belongs to, if any.
    pub run_id: Option<RunId>,
    /// When it expires if it was not sent by then.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When WhatsApp's server acknowledged it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it reached the recipient.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub failed_at: Option<DateTime<Utc>>,
    /// Why a queued message does not go out now, and until when. Null if nothing but earlier messages keeps it.
    pub waiting: Option<Wait>,
}

/// The messages of a batch, in the order of the request.
#[derive(Serialize, ToSchema)]
pub struct MessageBatch {
    /// The messages.
    pub messages: Vec<Message>,
}

impl From<messages::Message> for Message {
    /// A queued message waits for what its account waits for.
    fn from(row: messages::Message) -> Self {
        let waits = || account::waits(row.account_status, row.banned_until, row.held_until, clock::now());
        let waiting = (row.state == State::Queued).then(waits).flatten();
        Self {
            id: row.id,
            account_id: row.account_id,
            to: row.to,
            text: row.text,
            state: row.state,
            reason: row.reason,
            whatsapp_id: row.whatsapp_id,
            attempts: row.attempts,
            run_id: row.run_id,
            expires_at: row.expires_at,
            created_at: row.created_at,
            sent_at: row.sent_at,
            delivered_at: row.delivered_at,
            read_at: row.read_at,
            failed_at: row.failed_at,
            waiting,
        }
    }
}
