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
use store::idempotency::{self, Earlier};
use store::messages::{self, Draft};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, Path, Query};
use crate::once::{self, Begun, Done, Once};
use crate::page::{self, Page};
use crate::problem::{FieldError, Problem, Result};
use crate::wire::message::Message;

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
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let wish = &request.body.0;
    let to = checked(wish)?;
    let draft = Draft { to: &to, text: &wish.text, expires_at: wish.expires_at };
    let (message, after) = messages::accept(turn.of(), account, &draft).await?.parts();
    if let Some(key) = request.key() {
        let known = (key, &digest_of_release_before(account, &to, wish));
        match idempotency::note_for_release_before(turn.of(), known, message.id).await? {
            None => {}
            Some(Earlier::Other) => return Err(Problem::KeyReused),
            Some(Earlier::Same(message)) => {
                drop(turn); // what it did is undone
                let message = messages::get(caller.of(), message).await?;
                return Ok(once::replayed((StatusCode::ACCEPTED, Json(Message::from(message))).into_response()));
            }
        }
    }
    let location = format!("/v1/messages/{}", message.id);
    let done = Done::new(StatusCode::ACCEPTED, &Message::from(message))?.at(location).of(account).then(after);
    let answer = turn.end(&context, done).await?;
    metrics::MESSAGES_ACCEPTED.inc();
    Ok(answer)
}

fn checked(request: &Send) -> Result<Jid> {
    let mut errors = Vec::new();
    let mut note = |field: &str, message: String| errors.push(FieldError { field: field.to_owned(), message });
    let to = request.to.parse::<Jid>().map_err(|error| note("to", error.to_string())).ok();
    if let Err(error) = check_text(&request.text) {
        note("text", error.to_string());
    }
    if request.expires_at.is_some_and(|at| at <= process::clock::now()) {
        note("expires_at", "must lie in the future".to_owned());
    } else if let Err(Problem::Invalid(wrong)) = page::instant("expires_at", request.expires_at) {
        errors.extend(wrong);
    }
    match to {
        Some(to) if errors.is_empty() => Ok(to),
        _ => Err(Problem::Invalid(errors)),
    }
}

/// The digest that the previous release stores for a request with a key. It is removed together with the table
/// `idempotency_keys`.
fn digest_of_release_before(account: AccountId, to: &Jid, request: &Send) -> [u8; 32] {
    let expires_at = request.expires_at.map(|at| at.timestamp_micros().to_be_bytes());
    let parts: [&[u8]; 5] = [
        b"message",
        account.0.as_bytes(),
        to.as_str().as_bytes(),
        request.text.as_bytes(),
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
