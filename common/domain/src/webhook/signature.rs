//! Pure. Secrets and signatures by the "Standard Webhooks" specification 1.0: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The prefix of a secret.
const PREFIX: &str = "whsec_";
/// The number of random bytes in a secret. The specification asks for 24 to 64.
const BYTES: usize = 32;

/// A new secret.
#[must_use]
pub fn generate() -> String {
    format!("{PREFIX}{}", STANDARD.encode(rand::random::<[u8; BYTES]>()))
}

/// The value of `webhook-signature`: one signature per secret, separated by spaces, so that a receiver that knows any
/// of the secrets accepts it. A malformed secret adds no signature.
#[must_use]
pub fn header<'a>(secrets: impl IntoIterator<Item = &'a str>, id: &str, timestamp: i64, body: &str) -> String {
    let signatures = secrets.into_iter().filter_map(|secret| sign(secret, id, timestamp, body));
    signatures.map(|signature| format!("v1,{signature}")).collect::<Vec<_>>().join(" ")
}

fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R63: the example with which the reference libraries of Standard Webhooks test themselves.
    #[test]
    fn the_published_example_is_signed_alike() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let signed = header([secret], id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_give_two_signatures() {
        let (new, old) = (generate(), generate());
        assert!(new.starts_with("whsec_") && new != old);
        let both = header([new.as_str(), old.as_str()], "id", 1, "{}");
        let alone = [header([new.as_str()], "id", 1, "{}"), header([old.as_str()], "id", 1, "{}")];
        assert_eq!(both, alone.join(" "));
        assert_eq!(header(["no secret"], "id", 1, "{}"), "");
    }

    #[test]
    fn whatever_changes_changes_the_signature() {
        let secret = generate();
        let of = |id, at, body| header([secret.as_str()], id, at, body);
        let signed = of("id", 1, "{}");
        assert_eq!(signed, of("id", 1, "{}"));
        for other in
            [of("ie", 1, "{}"), of("id", 2, "{}"), of("id", 1, "[]"), header([generate().as_str()], "id", 1, "{}")]
        {
            assert_ne!(signed, other);
        }
    }
}
