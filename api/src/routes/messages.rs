//! Messages: send, read, list.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use domain::id::{AccountId, MessageId};
use domain::jid::Jid;
use domain::message::{State as MessageState, check_text};
use process::telemetry::metrics;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::messages::{self, Draft, Met};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{self, Done, Once};
use crate::page::{self, Page};
use crate::problem::{FieldError, Problem, Result};
use crate::wire::message::{Message, MessageBatch};

/// The most messages of a batch.
const BATCH: usize = 1_000;
/// How many errors a refusal of a batch names at most, not counting more errors of the same message.
const NAMED: usize = 100;

/// A text message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+4917012345678", "text": "Your table is ready."}))]
pub struct Send {
    /// The recipient: a phone number with its country code, as people write it, or a WhatsApp id that ends in
    /// `@s.whatsapp.net`, `@c.us`, `@lid` or `@g.us` (a group).
    #[schema(example = "+4917012345678", min_length = 1, max_length = 64)]
    to: String,
    /// The text: up to 65,536 characters.
    #[schema(example = "Your table is ready.", min_length = 1, max_length = 65536)]
    text: String,
    /// When it expires if it was not sent by then.
    expires_at: Option<DateTime<Utc>>,
}

/// Text messages, in the order in which they are to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"messages": [
    {"to": "+4917012345678", "text": "Your table is ready."},
    {"to": "+4917012345679", "text": "Your table is ready in ten minutes."}]}))]
pub struct SendBatch {
    /// The messages: 1 to 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<Send>,
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only those in this state.
    state: Option<MessageState>,
    /// The number of items on a page: 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the previous page.
    #[param(min_length = 1, max_length = 128)]
    cursor: Option<String>,
}

/// Send a text message
///
/// Answers as soon as the message is stored safely. Its state says how far it has come, and events report each change.
/// While the account is offline, the message waits. With an `Idempotency-Key` the request may be repeated for 24 hours,
/// and the message is sent only once.
#[utoipa::path(post, path = "/v1/accounts/{account}/messages", operation_id = "send_message", tag = "Messages",
    params(("account" = AccountId, Path)), request_body = Send,
    responses((status = 202, body = Message),
        (status = 409, description = "Account not connected: pair it again")))]
pub async fn send(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
    request: Once<extract::Json<Send>>,
) -> Result<Response> {
    let (extract::Json(wish), request) = request.apart();
    let mut wrong = Vec::new();
    let draft = checked(wish, "", &mut wrong);
    let Some(draft) = draft.filter(|_| wrong.is_empty()) else {
        return request.refused(&caller, Problem::Invalid(wrong)).await;
    };
    let release_before = request.claim().map(|_| digest_of_release_before(account, &draft));
    accept(&context, &caller, account, vec![draft], (&request, release_before), answer_to_one).await
}

/// Send many text messages
///
/// Takes up to 1,000 messages in one request, whose body may have up to 4 MiB. Either all of them are accepted, or none:
/// if one is not valid, the answer names its fields, such as `messages[3].to`, and nothing is sent (after about a
/// hundred errors it stops looking). The answer has the
/// messages in the order of the request, and the messages to one chat are sent in this order. Equal messages are
/// different messages. With an `Idempotency-Key` the request may be repeated for 24 hours, and each of its messages is
/// sent only once.
#[utoipa::path(post, path = "/v1/accounts/{account}/messages/batch", operation_id = "send_messages", tag = "Messages",
    params(("account" = AccountId, Path)), request_body = SendBatch,
    responses((status = 202, body = MessageBatch),
        (status = 409, description = "Account not connected: pair it again")))]
pub async fn send_batch(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
    request: Once<extract::Json<SendBatch>>,
) -> Result<Response> {
    let (extract::Json(SendBatch { messages }), request) = request.apart();
    let drafts = match all_checked(messages) {
        Ok(drafts) => drafts,
        Err(wrong) => return request.refused(&caller, Problem::Invalid(wrong)).await,
    };
    accept(&context, &caller, account, drafts, (&request, None), answer_to_batch).await
}

/// Accepts the messages of a request, and answers it.
async fn accept(
    context: &Context,
    caller: &Caller,
    account: AccountId,
    drafts: Vec<Draft>,
    (request, release_before): (&Once<()>, Option<[u8; 32]>),
    answer: fn(Vec<messages::Message>) -> Result<Done>,
) -> Result<Response> {
    #[expect(clippy::cast_precision_loss, reason = "a figure of the page")]
    let count = drafts.len() as f64;
    let Some(key) = request.claim() else {
        let stored = context.announce(messages::accept(caller.of(), account, drafts).await?);
        metrics::MESSAGES_ACCEPTED.inc_by(count);
        return once::first(answer(stored)?.kept());
    };
    let answer = Box::new(move |stored: Vec<messages::Message>| {
        let done = answer(stored);
        done.map(Done::kept).map_err(|_| store::Error::Corrupt("an answer that can't be written".to_owned()))
    });
    let once = messages::Once { key, release_before, answer };
    match context.announce(messages::accept_once(caller.of(), account, drafts, once).await?) {
        Met::Now(answer) => {
            metrics::MESSAGES_ACCEPTED.inc_by(count);
            once::first(answer)
        }
        Met::Before(answer) => request.again(answer),
        Met::ByReleaseBefore(message) => {
            let message = messages::get(caller.of(), message).await?;
            Ok(once::replayed((StatusCode::ACCEPTED, Json(Message::from(message))).into_response()))
        }
        Met::Reused => Err(Problem::KeyReused),
    }
}

fn answer_to_one(stored: Vec<messages::Message>) -> Result<Done> {
    let Some(message) = stored.into_iter().next() else { return Err(Problem::internal(&"nothing was stored")) };
    let location = format!("/v1/messages/{}", message.id);
    Ok(Done::new(StatusCode::ACCEPTED, &Message::from(message))?.at(location))
}

fn answer_to_batch(stored: Vec<messages::Message>) -> Result<Done> {
    let messages = stored.into_iter().map(Message::from).collect();
    Done::new(StatusCode::ACCEPTED, &MessageBatch { messages })
}

/// The messages of a batch, or what is wrong with them.
fn all_checked(wishes: Vec<Send>) -> std::result::Result<Vec<Draft>, Vec<FieldError>> {
    let mut wrong = Vec::new();
    if wishes.is_empty() || wishes.len() > BATCH {
        let message = format!("must be a list of 1 to {BATCH} items");
        return Err(vec![FieldError { field: "messages".to_owned(), message }]);
    }
    let mut drafts = Vec::with_capacity(wishes.len());
    for (place, wish) in wishes.into_iter().enumerate() {
        drafts.extend(checked(wish, &format!("messages[{place}]."), &mut wrong));
        if wrong.len() >= NAMED {
            break;
        }
    }
    if wrong.is_empty() { Ok(drafts) } else { Err(wrong) }
}

/// Checks a message. What is wrong is added to `wrong`, with `place` before the names of fields.
fn checked(wish: Send, place: &str, wrong: &mut Vec<FieldError>) -> Option<Draft> {
    let mut note = |field: &str, message: String| wrong.push(FieldError { field: format!("{place}{field}"), message });
    let to = wish.to.parse::<Jid>().map_err(|error| note("to", error.to_string())).ok();
    if let Err(error) = check_text(&wish.text) {
        note("text", error.to_string());
    }
    if wish.expires_at.is_some_and(|at| at <= process::clock::now()) {
        note("expires_at", "must lie in the future".to_owned());
    } else if let Err(Problem::Invalid(errors)) = page::instant("expires_at", wish.expires_at) {
        errors.into_iter().for_each(|error| note(&error.field, error.message));
    }
    Some(Draft { to: to?, text: wish.text, expires_at: wish.expires_at })
}

/// The digest that the previous release stores for a request with a key. It is removed together with the table
/// `idempotency_keys`.
fn digest_of_release_before(account: AccountId, draft: &Draft) -> [u8; 32] {
    let expires_at = draft.expires_at.map(|at| at.timestamp_micros().to_be_bytes());
    let parts: [&[u8]; 5] = [
        b"message",
        account.0.as_bytes(),
        draft.to.as_str().as_bytes(),
        draft.text.as_bytes(),
        expires_at.as_ref().map_or(&[], |at| at.as_slice()),
    ];
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// List an account's messages
///
/// Newest first. A page ends early after 4 MiB of texts.
#[utoipa::path(get, path = "/v1/accounts/{account}/messages", operation_id = "list_messages", tag = "Messages",
    params(("account" = AccountId, Path), Filter),
    responses((status = 200, body = Page<Message>)))]
pub async fn list(
    caller: Caller,
    Path(account): Path<AccountId>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Message>>> {
    let limit = page::limit(filter.limit)?;
    let newest = messages::newest(caller.of(), account);
    let before = page::number_cursor(filter.cursor.as_deref(), newest).await?;
    let listed = messages::list(caller.of(), account, filter.state, before, limit).await?;
    Ok(Json(Page::of(listed, |seq| seq.to_string(), Message::from)))
}

/// Read a message
#[utoipa::path(get, path = "/v1/messages/{message}", operation_id = "get_message",
    tag = "Messages", params(("message" = MessageId, Path)),
    responses((status = 200, body = Message)))]
pub async fn get(caller: Caller, Path(message): Path<MessageId>) -> Result<Json<Message>> {
    Ok(Json(messages::get(caller.of(), message).await?.into()))
}
