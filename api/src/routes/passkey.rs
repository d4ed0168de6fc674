//! WhatsApp's passkey gate: the phone's owner presents a passkey and compares codes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::committed::Committed;
use domain::id::{AccountId, TenantId};
use serde::{Deserialize, Serialize};
use store::{accounts, passkeys};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::context::Context;
use crate::extract::{self, NoBody, Path};
use crate::once::{Begun, Done, Once, Turn};
use crate::problem::{Problem, Result};
use crate::wire::pairing::Pairing;

/// The longest field of a credential, in characters.
const MAX_FIELD: usize = 16_384;

/// A WebAuthn credential, as `navigator.credentials.get` returns it (`toJSON`). Fields that WhatsApp does not need are
/// ignored.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The passkey's id, base64url.
    #[schema(example = "q83vEjRWeJA", min_length = 1, max_length = 16384)]
    raw_id: String,
    /// The authenticator's answer.
    response: Assertion,
}

/// The authenticator's answer. All fields are base64url.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PasskeyAssertion)]
pub struct Assertion {
    /// The client data: the request as the browser saw it.
    #[serde(rename = "clientDataJSON")]
    #[schema(min_length = 1, max_length = 16384)]
    client_data: String,
    /// The authenticator data: relying party, flags and counter.
    #[schema(min_length = 1, max_length = 16384)]
    authenticator_data: String,
    /// The signature over both.
    #[schema(min_length = 1, max_length = 16384)]
    signature: String,
    /// The user to whom the passkey belongs.
    #[schema(min_length = 1, max_length = 16384)]
    user_handle: Option<String>,
}

impl Credential {
    fn check(&self) -> Result<()> {
        let response = &self.response;
        let fields = [
            ("rawId", Some(&self.raw_id)),
            ("response.clientDataJSON", Some(&response.client_data)),
            ("response.authenticatorData", Some(&response.authenticator_data)),
            ("response.signature", Some(&response.signature)),
            ("response.userHandle", response.user_handle.as_ref()),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            if value.len() > MAX_FIELD {
                return Err(Problem::field(name, format_args!("must have at most {MAX_FIELD} characters")));
            }
            let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
            if bytes.is_ok_and(|bytes| !bytes.is_empty()) {
                continue;
            }
            return Err(Problem::field(name, "is not base64url"));
        }
        Ok(())
    }
}

/// Present the account's passkey
///
/// Takes the credential for `passkey_options` while `pairing` is at step `passkey`. WhatsApp's answer comes as an
/// event. After `session.passkey_code`, compare the code and call `confirm`. Otherwise the pairing ends, with a reason.
#[utoipa::path(post, path = "/v1/accounts/{account}/pair/passkey", operation_id = "present_passkey",
    tag = "Pairing", params(("account" = AccountId, Path)),
    request_body = Credential,
    responses((status = 202, body = Pairing), (status = 409, description = "No passkey is asked for")))]
pub async fn present(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
    request: Once<extract::Json<Credential>>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let credential = &request.body.0;
    credential.check()?;
    let text = serde_json::to_string(credential).map_err(|_| Problem::field("response", "can't be stored"))?;
    let presented = passkeys::present(turn.of(), account, &text).await?;
    goes_on(&context, &caller, account, turn, presented).await
}

/// Confirm the passkey's code
///
/// Call this if the phone shows the same code as `pairing`. Then the phone is linked.
#[utoipa::path(post, path = "/v1/accounts/{account}/pair/passkey/confirm", operation_id = "confirm_passkey",
    tag = "Pairing", params(("account" = AccountId, Path)),
    responses((status = 202, body = Pairing), (status = 409, description = "There is no code to compare")))]
pub async fn confirm(
    State(context): State<Context>,
    caller: Caller,
    Path(account): Path<AccountId>,
    request: Once<NoBody>,
) -> Result<Response> {
    let mut turn = match request.begin(&caller).await? {
        Begun::First(turn) => turn,
        Begun::Again(answer) => return Ok(answer),
    };
    let confirmed = passkeys::confirm(turn.of(), account).await?;
    goes_on(&context, &caller, account, turn, confirmed).await
}

async fn goes_on(
    context: &Context,
    _caller: &Caller,
    account: AccountId,
    mut turn: Turn<TenantId>,
    step: Committed<()>,
) -> Result<Response> {
    let ((), after) = step.parts();
    let pairing = accounts::pairing(turn.of(), account).await?;
    let done = Done::new(StatusCode::ACCEPTED, &Pairing::from(pairing))?
        .at(format!("/v1/accounts/{account}/pairing"))
        .of(account);
    turn.end(context, done.then(after)).await
}
