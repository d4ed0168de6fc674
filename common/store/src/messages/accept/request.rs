//! A request to send messages: what it asks for, what it stores, and what becomes of it.

use chrono::{DateTime, Utc};

use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::idempotency::{Answer, Key};
use crate::messages::row::Message;
use domain::account::Status;
use domain::conflict::Conflict;
use domain::id::{MessageId, TenantId};
use domain::jid::Jid;
use domain::message::State;

/// A message to be sent.
#[derive(Clone)]
pub struct Draft {
    /// The recipient.
    pub to: Jid,
    /// The text.
    pub text: String,
    /// When it expires if it could not be sent before.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Makes the answer to a request from the messages that it stores.
pub type Answering = Box<dyn Fn(Vec<Message>) -> Result<Answer> + Send + Sync>;

/// What makes a request one that is done once.
pub struct Once {
    /// Its key.
    pub key: Key,
    /// The digest under which the previous release knows the request, if it has such requests. It goes when the table
    /// `idempotency_keys` does.
    pub release_before: Option<[u8; 32]>,
    /// Makes its answer.
    pub answer: Answering,
}

/// What became of a request with a key.
pub enum Met {
    /// It is done now, with this answer.
    Now(Answer),
    /// It was done before, with this answer.
    Before(Answer),
    /// The previous release did it: it accepted this message.
    ByReleaseBefore(MessageId),
    /// A different request has used the key.
    Reused,
}

/// One request.
pub(super) struct Call {
    pub(super) tenant: TenantId,
    pub(super) messages: Vec<Fresh>,
    pub(super) trace: Option<String>,
    pub(super) once: Option<Once>,
}

impl Call {
    /// Its key, which is the tenant's own.
    pub(super) fn key(&self) -> Option<(TenantId, &str)> {
        self.once.as_ref().map(|once| (self.tenant, once.key.key.as_str()))
    }
}

/// A message with the ids that it will have.
pub(super) struct Fresh {
    pub(super) id: MessageId,
    pub(super) whatsapp_id: String,
    pub(super) draft: Draft,
}

/// What became of a request.
pub(super) enum Done {
    /// It has no key, and its messages are stored.
    Stored(Vec<Message>),
    /// It has a key.
    Met(Met),
}

/// What the transaction of a request stores.
pub(super) fn to_store(line: Fence, call: &Call, account: &Account) -> Result<Done> {
    let messages = stored(line, call, account);
    match &call.once {
        Some(once) => Ok(Done::Met(Met::Now((once.answer)(messages)?))),
        None => Ok(Done::Stored(messages)),
    }
}

/// What a statement writes for one request.
pub(super) struct Wish<'c> {
    pub(super) line: Fence,
    pub(super) call: &'c Call,
    /// The answer that is stored, if the request has a key.
    pub(super) answer: Option<Answer>,
}

/// The account of a request. It is locked: an unpair beside the request either sees its messages, or is seen.
pub(super) struct Account {
    pub(super) status: Status,
    pub(super) banned_until: Option<DateTime<Utc>>,
    pub(super) held_until: Option<DateTime<Utc>>,
    pub(super) may_send: bool,
    /// The time of the transaction.
    pub(super) now: DateTime<Utc>,
}

/// The account, if there is one and it may send.
pub(super) fn sending(account: Option<Account>) -> Result<Account> {
    let account = account.ok_or(Error::NotFound)?;
    if account.may_send {
        return Ok(account);
    }
    Err(Conflict::NotConnected { first_pairing: account.status == Status::Pending }.into())
}

/// What was done before under the key of a request.
#[derive(Clone)]
pub(super) enum Before {
    ByThisRelease { request: Vec<u8>, answer: Answer },
    ByReleaseBefore { fingerprint: Vec<u8>, message: MessageId },
}

impl Before {
    /// What became of a request with the same key; `None` if the request has no key.
    pub(super) fn for_request(self, call: &Call) -> Option<Met> {
        let once = call.once.as_ref()?;
        Some(match self {
            Self::ByThisRelease { request, answer } if request == once.key.request => Met::Before(answer),
            Self::ByReleaseBefore { fingerprint, message }
                if once.release_before.is_some_and(|own| fingerprint == own) =>
            {
                Met::ByReleaseBefore(message)
            }
            Self::ByThisRelease { .. } | Self::ByReleaseBefore { .. } => Met::Reused,
        })
    }
}

/// The messages of a request as they are stored.
pub(super) fn stored(line: Fence, call: &Call, account: &Account) -> Vec<Message> {
    let message = |fresh: &Fresh| Message {
        id: fresh.id,
        account_id: line.account,
        to: fresh.draft.to.as_str().to_owned(),
        text: fresh.draft.text.clone(),
        state: State::Queued,
        reason: None,
        whatsapp_id: fresh.whatsapp_id.clone(),
        attempts: 0,
        run_id: None,
        expires_at: fresh.draft.expires_at,
        created_at: account.now,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
        account_status: account.status,
        banned_until: account.banned_until,
        held_until: account.held_until,
    };
    call.messages.iter().map(message).collect()
}
