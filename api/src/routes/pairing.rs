//! Linking a phone, and unlinking it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use domain::account::{Method, Status};
use domain::id::AccountId;
use domain::phone;
use serde::Deserialize;
use store::accounts;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{OptionalJson, Path};
use crate::once::{Begun, Done, Once};
use crate::problem::{Problem, Result};
use crate::wire::pairing::{LoggedOut, Pairing, Unpaired};

/// How to link the phone. Without a body, it is linked by QR code.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "qr"}))]
pub struct Pair {
    /// `qr` or `code`.
    #[serde(default)]
    method: Method,
    /// With `code` only: the phone's number with its country code, as people write it.
    #[schema(example = "+4917012345678", min_length = 1, max_length = 64)]
    phone: Option<String>,
}

impl Pair {
    fn phone(&self) -> Result<Option<String>> {
        match (self.method, self.phone.as_deref()) {
            (Method::Qr, None) => Ok(None),
            (Method::Qr, Some(_)) => Err(Problem::field("phone", "only goes with method `code`")),
            (Method::Code, None) => Err(Problem::field("phone", "is required with method `code`")),
            (Method::Code, Some(phone)) => {
                phone::digits(phone).map(Some).map_err(|error| Problem::field("phone", error))
            }
        }
    }
}

const STILL_LISTED: &str = "The phone goes on listing this device until it notices: remove it there under Linked devices, or use \
                            POST …/logout next time";
const NOT_CONFIRMED: &str = "WhatsApp did not confirm the logout in time: if the phone still lists this device, remove it there under Linked devices";
/// How long a logout may take. After that, the account is unlinked only here. The time is enough for two tries to
/// connect, or for one and the logout itself.
const LOGOUT_MAX: Duration = Duration::from_secs(20);
/// How often the row is read during a logout if no signal comes.
const LOOK: Duration = Duration::from_millis(500);

/// Link a phone
///
/// Starts a pairing, or starts it again if one is under way. Then fetch the code: from `qr` (an image), or from
/// `pairing` (its state, and the eight characters of method `code`). An event reports each new code.
#[utoipa::path(post, path = "/v1/accounts/{account}/pair", operation_id = "pair_account",
    tag = "Pairing", params(("account" = AccountId, Path)),
    request_body(content = Option<Pair>),
    responses((status = 202, body = Pairing), (status = 409, description = "The account is connected")))]
pub async fn pair(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
    request: Once<OptionalJson<Pair>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let wish = &request.body.0;
    let phone = wish.phone()?;
    let how = (wish.method, phone.as_deref());
    let paired = accounts::pair(turn.of(), account, how, caller.operator()).await?;
    let (pairing, after) = paired.parts();
    let done = Done::new(StatusCode::ACCEPTED, &Pairing::from(pairing))?
        .at(format!("/v1/accounts/{account}/pairing"))
        .of(account);
    turn.end(&context, done.then(after)).await
}

/// Read the pairing under way
#[utoipa::path(get, path = "/v1/accounts/{account}/pairing", operation_id = "get_pairing",
    tag = "Pairing", params(("account" = AccountId, Path)),
    responses((status = 200, body = Pairing)))]
pub async fn get(
    caller: Caller,
    Path(account): Path<AccountId>,
) -> Result<([(HeaderName, &'static str); 1], Json<Pairing>)> {
    let pairing = accounts::pairing(caller.of(), account).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(pairing.into())))
}

/// Unlink the phone
///
/// Succeeds in every state. The account, its groups and its reminders stay, so that nothing has to be entered again
/// when it is paired again. Queued messages and runs under way end as `canceled`, because they were meant for this
/// phone.
///
/// WhatsApp is not told. So the phone goes on listing the device until it notices, and `advice` says how to remove it.
/// `logout` tells WhatsApp.
#[utoipa::path(post, path = "/v1/accounts/{account}/unpair", operation_id = "unpair_account",
    tag = "Pairing", params(("account" = AccountId, Path)),
    responses((status = 200, body = Unpaired)))]
pub async fn unpair(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
) -> Result<Json<Unpaired>> {
    let unpaired = accounts::unpair(caller.of(), account, caller.operator()).await?;
    let unpaired = context.announce(unpaired);
    let advice = unpaired.listed.then_some(STILL_LISTED);
    Ok(Json(Unpaired { status: Status::Unpaired, already_disconnected: unpaired.already_disconnected, advice }))
}

/// Log the device out
///
/// First removes the device from WhatsApp, so that the phone no longer lists it. Then the account is `unpaired`. Its
/// groups and reminders stay. Queued messages and runs under way end as `canceled`. The answer comes within about 20
/// seconds and says whether WhatsApp confirmed the logout. If it did not, the account is unlinked anyway, as by
/// `unpair`.
#[utoipa::path(post, path = "/v1/accounts/{account}/logout", operation_id = "log_out_account",
    tag = "Pairing", params(("account" = AccountId, Path)),
    responses((status = 200, body = LoggedOut)))]
pub async fn log_out(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
) -> Result<Json<LoggedOut>> {
    let mut signals = context.bus.subscribe(caller.tenant());
    let linked = context.announce(accounts::log_out(caller.of(), account, caller.operator()).await?);
    if !linked {
        return Ok(Json(LoggedOut { status: Status::Unpaired, confirmed: false, advice: None }));
    }
    let until = Instant::now() + LOGOUT_MAX;
    let confirmed = loop {
        if let Some(confirmed) = accounts::logout_confirmed(caller.of(), account).await? {
            break confirmed;
        }
        if Instant::now() >= until {
            context.announce(accounts::unpair(caller.of(), account, caller.operator()).await?);
            break false;
        }
        let _ = tokio::time::timeout(LOOK, signals.signaled()).await;
    };
    let advice = (!confirmed).then_some(NOT_CONFIRMED);
    Ok(Json(LoggedOut { status: Status::Unpaired, confirmed, advice }))
}
