//! Sealing of secrets at rest: AES-256-GCM, with keys that can be changed while the data stays.
//!
//! A sealed value is `version (1 byte) ‖ nonce (12) ‖ ciphertext and tag`. The key's id is stored beside it in a column
//! of its own, so that a change of keys can find values that still need the old key. The associated data binds a value
//! to its place: a row that is copied to another account, kind or name can't be opened.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Nonce, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The version of the layout described above.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
/// The longest key id, which is also the size of its column.
const KEY_ID_CHARS: usize = 32;
/// The id of a derived key.
const DERIVED: &str = "derived";

/// Seals with the current key, and opens with any known key. Dropping it erases the keys from memory.
pub struct Sealer {
    current: String,
    keys: BTreeMap<String, Aes256Gcm>,
}

impl Sealer {
    /// Parses keys from `ID:BASE64_OF_32_BYTES[,ID:…]`. The first key seals.
    ///
    /// # Errors
    /// Says what is wrong and where, but never contains the key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        let mut current = None;
        for (index, entry) in text.split(',').map(str::trim).enumerate() {
            let position = index + 1;
            let (id, encoded) = entry.split_once(':').ok_or(KeyError::Form { position })?;
            let id = id.trim();
            let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if id.is_empty() || id.len() > KEY_ID_CHARS || !id.chars().all(named) {
                return Err(KeyError::Id { position });
            }
            let cipher = cipher(encoded.trim()).map_err(|problem| KeyError::Key { id: id.to_owned(), problem })?;
            if keys.insert(id.to_owned(), cipher).is_some() {
                return Err(KeyError::Twice { id: id.to_owned() });
            }
            current.get_or_insert_with(|| id.to_owned());
        }
        let current = current.ok_or(KeyError::Form { position: 1 })?;
        Ok(Self { current, keys })
    }

    /// A sealer with one key that only the holder of `secret` can compute: HMAC-SHA256 of `about` under it. The secret
    /// must be as hard to guess as a key.
    #[must_use]
    pub fn derived(secret: &[u8], about: &[u8]) -> Self {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else { unreachable!("HMAC takes keys of any length") };
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(mac.chain_update(about).finalize().into_bytes().into());
        let cipher = Aes256Gcm::new((&*key).into());
        Self { current: DERIVED.to_owned(), keys: BTreeMap::from([(DERIVED.to_owned(), cipher)]) }
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.current
    }

    /// The ids of all keys, each of which can open values.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    /// Whether there is a key with this id.
    #[must_use]
    pub fn knows(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// Seals a value under the current key.
    ///
    /// # Errors
    /// If the value is too long for AES-GCM (64 GiB).
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, OpenError> {
        let cipher = self.keys.get(&self.current).ok_or(OpenError::UnknownKey)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = cipher
            .encrypt(&Nonce::<Aes256Gcm>::from(nonce), Payload { msg: plaintext, aad })
            .map_err(|_| OpenError::TooLong)?;
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens a value that was sealed under `key_id` with the same associated data.
    ///
    /// # Errors
    /// If the key is not known, or the value was changed or moved.
    pub fn open(&self, key_id: &str, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, OpenError> {
        let cipher = self.keys.get(key_id).ok_or(OpenError::UnknownKey)?;
        let (version, rest) = sealed.split_first().ok_or(OpenError::Form)?;
        if *version != VERSION {
            return Err(OpenError::Form);
        }
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Form)?;
        cipher
            .decrypt(&Nonce::<Aes256Gcm>::from(*nonce), Payload { msg: ciphertext, aad })
            .map_err(|_| OpenError::Tampered)
    }
}

fn cipher(encoded: &str) -> Result<Aes256Gcm, KeyProblem> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| KeyProblem::NotBase64)?);
    let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyProblem::Length { bytes: bytes.len() })?;
    Ok(Aes256Gcm::new(key.into()))
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        f.debug_struct("Sealer").field("current", &self.current).field("keys", &ids).finish_non_exhaustive()
    }
}

/// What is wrong with the configured keys. It never contains a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An entry without a colon, or no entry at all.
    #[error("sealing key {position} is not of the form ID:BASE64")]
    Form {
        /// The number of the entry, counted from one.
        position: usize,
    },
    /// An invalid id.
    #[error("the id of sealing key {position} must be 1 to 32 letters, digits, '-' or '_'")]
    Id {
        /// The number of the entry, counted from one.
        position: usize,
    },
    /// An invalid key.
    #[error("sealing key `{id}`: {problem}")]
    Key {
        /// The key's id.
        id: String,
        /// What is wrong with the key.
        problem: KeyProblem,
    },
    /// An id that is used twice.
    #[error("sealing key `{id}` is given twice")]
    Twice {
        /// The id.
        id: String,
    },
}

/// Why a key can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not standard base64 with padding.
    #[error("not base64 (`openssl rand -base64 32` makes one)")]
    NotBase64,
    /// Not 256 bits.
    #[error("32 bytes are needed, {bytes} given")]
    Length {
        /// The number of bytes given.
        bytes: usize,
    },
}

/// Why a value was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No key with that id is configured.
    #[error("sealed under a key that is not configured")]
    UnknownKey,
    /// It is too short, or has another layout.
    #[error("not a sealed value of this version")]
    Form,
    /// It was changed, moved from its place, or sealed under another key with the same id.
    #[error("does not open: changed, moved, or sealed under another key of the same id")]
    Tampered,
    /// It is longer than the cipher allows.
    #[error("too long to seal")]
    TooLong,
}
