//! Pure. The name of a zone in a request.

use super::error::Error;
use super::nearest::did_you_mean;
use super::zone::{self, Tz};

/// How many characters of an unknown zone name an error repeats. The longest known name has 32.
const ZONE_SHOWN: usize = 64;

/// Parses an IANA zone name such as `Europe/Berlin`.
///
/// # Errors
/// If the name is not known. Windows zone names are not supported.
pub fn timezone(name: &str) -> Result<Tz, Error> {
    name.parse().map_err(|_| {
        let name: String = name.chars().take(ZONE_SHOWN).collect();
        let known = zone::data().names();
        let meant = did_you_mean(&name, known.iter().map(String::as_str));
        Error::new("timezone", format_args!("`{name}` is not a known IANA zone such as Europe/Berlin{meant}"))
    })
}
