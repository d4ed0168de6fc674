//! Pure. Converts a WebAuthn credential, as a browser gives it, to the form that WhatsApp expects.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use whatsapp_rust::passkey::{Assertion, PasskeyError, build_webauthn_assertion_json};

use super::super::LinkError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credential {
    raw_id: String,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

/// Parses a credential.
pub(super) fn assertion(credential: &str) -> Result<Assertion, LinkError> {
    let malformed = || LinkError::Refused("the passkey's answer is malformed".to_owned());
    let read: Credential = serde_json::from_str(credential).map_err(|_| malformed())?;
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| malformed());
    let id = bytes(&read.raw_id)?;
    let response = read.response;
    let user = response.user_handle.as_deref().map(bytes).transpose()?;
    let assertion_json = build_webauthn_assertion_json(
        &id,
        &bytes(&response.client_data)?,
        &bytes(&response.authenticator_data)?,
        &bytes(&response.signature)?,
        user.as_deref(),
    );
    Ok(Assertion { assertion_json, credential_id: id })
}

/// Why WhatsApp did not continue. The library's own text names its steps and contains no secret.
pub(super) fn refused(error: &PasskeyError) -> LinkError {
    LinkError::Refused(format!("WhatsApp did not take the passkey ({error})"))
}
