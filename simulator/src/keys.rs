//! Helpers for Curve25519 keys, randomness and base64, shared by the server and the phones.

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand::RngExt;
use rand::rngs::StdRng;
use wacore::libsignal::protocol::{KeyPair, PrivateKey, PublicKey};

/// A random generator that may live across an `await`, unlike the thread-local one.
pub(crate) fn rng() -> StdRng {
    rand::make_rng::<StdRng>()
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill(&mut bytes);
    bytes
}

/// A message id in the form that phones use.
pub(crate) fn message_id() -> String {
    let mut id = String::from("3EB0");
    for byte in random_bytes::<9>() {
        id.push_str(&format!("{byte:02X}"));
    }
    id
}

pub(crate) fn generate() -> KeyPair {
    KeyPair::generate(&mut rand::rng())
}

pub(crate) fn from_private(private: &[u8]) -> anyhow::Result<KeyPair> {
    let private = PrivateKey::deserialize(private)?;
    let public = private.public_key()?;
    Ok(KeyPair::new(public, private))
}

pub(crate) fn public_bytes(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.public_key_bytes());
    bytes
}

pub(crate) fn encode64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub(crate) fn decode64(text: &str) -> anyhow::Result<Vec<u8>> {
    BASE64_STANDARD.decode(text).context("invalid base64")
}

/// Reads a big-endian number of up to four bytes, the format of registration and pre-key ids.
pub(crate) fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// Writes an id in three bytes, the format of pre-keys.
pub(crate) fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}
