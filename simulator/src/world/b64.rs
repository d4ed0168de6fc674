//! Serde helper for byte strings, which are base64 in the world file.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::keys;

pub(crate) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&keys::encode64(bytes.as_ref()))
}

pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<Vec<u8>>,
{
    let text = String::deserialize(deserializer)?;
    let bytes = keys::decode64(&text).map_err(D::Error::custom)?;
    T::try_from(bytes).map_err(|_| D::Error::custom("a byte string of the wrong length"))
}
