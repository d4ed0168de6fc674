//! Pure. A chat's address on WhatsApp: many spellings are accepted, one canonical form is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Fewest digits of a phone number, country code included.
pub const MIN_PHONE_DIGITS: usize = 5;
/// Most digits of a phone number (E.164).
pub const MAX_PHONE_DIGITS: usize = 15;
/// Most digits of a LID or of a group's id.
const MAX_ID_DIGITS: usize = 20;
/// Longest text that is looked at; anything longer is no address.
const MAX_LENGTH: usize = 64;

/// What an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person, by phone number: `<digits>@s.whatsapp.net`.
    Phone,
    /// A person, by WhatsApp's hidden id: `<digits>@lid`.
    Lid,
    /// A group: `<id>@g.us`.
    Group,
}

impl Kind {
    const fn server(self) -> &'static str {
        match self {
            Self::Phone => "s.whatsapp.net",
            Self::Lid => "lid",
            Self::Group => "g.us",
        }
    }
}

/// A canonical address without a device part. Holds a person's number, so its `Debug` shows the kind alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Jid {
    text: String,
    kind: Kind,
}

/// Why a text is no address; the words are for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than any address.
    #[error("is too long for a phone number or a WhatsApp id")]
    TooLong,
    /// A phone number with something else than digits in it.
    #[error("a phone number has digits only, with an optional + in front")]
    NotDigits,
    /// A phone number in national form.
    #[error("a phone number starts with its country code, not with 0")]
    LeadingZero,
    /// Too few digits.
    #[error("a phone number has at least {MIN_PHONE_DIGITS} digits, country code included")]
    TooFewDigits,
    /// Too many digits.
    #[error("a phone number has at most {MAX_PHONE_DIGITS} digits; a group's id ends in @g.us")]
    TooManyDigits,
    /// The part before `@lid` is no id.
    #[error("the part before @lid must be 1 to {MAX_ID_DIGITS} digits")]
    BadLid,
    /// The part before `@g.us` is no group id.
    #[error("the part before @g.us must be digits, or two groups of digits joined by a hyphen")]
    BadGroup,
    /// The part behind `@` names something that can't be written to.
    #[error("must end in @s.whatsapp.net, @c.us, @lid or @g.us, or be a phone number")]
    UnknownServer,
}

impl Jid {
    /// The address of a phone number, given as digits with an optional `+`.
    ///
    /// # Errors
    /// When it is no phone number.
    pub fn phone(number: &str) -> Result<Self, Error> {
        let digits = phone_digits(number)?;
        Ok(Self::new(digits, Kind::Phone))
    }

    fn new(user: &str, kind: Kind) -> Self {
        Self { text: format!("{user}@{}", kind.server()), kind }
    }

    /// The canonical text, such as `4917012345678@s.whatsapp.net`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it names.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The part before the `@`: the digits of a phone number for [`Kind::Phone`].
    #[must_use]
    pub fn user(&self) -> &str {
        self.text.split('@').next().unwrap_or_default()
    }
}

impl FromStr for Jid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
        let Some((user, server)) = text.split_once('@') else {
            return Self::phone(text);
        };
        match server {
            "s.whatsapp.net" | "c.us" => Self::phone(without_device(user)),
            "lid" => {
                let user = without_device(user);
                if !is_digits(user, MAX_ID_DIGITS) {
                    return Err(Error::BadLid);
                }
                Ok(Self::new(user, Kind::Lid))
            }
            "g.us" => {
                let known = match user.split_once('-') {
                    Some((creator, created)) => is_digits(creator, MAX_ID_DIGITS) && is_digits(created, MAX_ID_DIGITS),
                    None => is_digits(user, MAX_ID_DIGITS),
                };
                if !known {
                    return Err(Error::BadGroup);
                }
                Ok(Self::new(user, Kind::Group))
            }
            _ => Err(Error::UnknownServer),
        }
    }
}

/// The digits of a phone number given with an optional `+`.
///
/// # Errors
/// When it is no phone number in international form.
pub fn phone_digits(number: &str) -> Result<&str, Error> {
    let number = number.trim();
    let digits = number.strip_prefix('+').unwrap_or(number);
    if number.is_empty() {
        return Err(Error::Empty);
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::NotDigits);
    }
    if digits.starts_with('0') {
        return Err(Error::LeadingZero);
    }
    match digits.len() {
        0..MIN_PHONE_DIGITS => Err(Error::TooFewDigits),
        MIN_PHONE_DIGITS..=MAX_PHONE_DIGITS => Ok(digits),
        _ => Err(Error::TooManyDigits),
    }
}

/// `1234:5` and `1234.0:5` name device 5 of user 1234; a chat is with the user.
fn without_device(user: &str) -> &str {
    let user = user.split(':').next().unwrap_or_default();
    user.split('.').next().unwrap_or_default()
}

fn is_digits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jid({:?})", self.kind)
    }
}

impl Serialize for Jid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, Error> {
        text.parse::<Jid>().map(|jid| jid.as_str().to_owned())
    }

    #[test]
    fn every_accepted_spelling_has_one_canonical_form() {
        for (given, expected) in [
            ("4917012345678", "4917012345678@s.whatsapp.net"),
            ("+4917012345678", "4917012345678@s.whatsapp.net"),
            (" +4917012345678 ", "4917012345678@s.whatsapp.net"),
            ("4917012345678@c.us", "4917012345678@s.whatsapp.net"),
            ("4917012345678@s.whatsapp.net", "4917012345678@s.whatsapp.net"),
            ("4917012345678:12@s.whatsapp.net", "4917012345678@s.whatsapp.net"),
            ("123456789012345@lid", "123456789012345@lid"),
            ("123456789012345:3@lid", "123456789012345@lid"),
            ("120363041234567890@g.us", "120363041234567890@g.us"),
            ("4917012345678-1612345678@g.us", "4917012345678-1612345678@g.us"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        for (given, expected) in [
            ("", Error::Empty),
            ("  ", Error::Empty),
            ("+", Error::NotDigits),
            ("+49 170 1234567", Error::NotDigits),
            ("hello", Error::NotDigits),
            ("0170123456", Error::LeadingZero),
            ("1234", Error::TooFewDigits),
            ("120363041234567890", Error::TooManyDigits),
            ("@c.us", Error::Empty),
            ("@lid", Error::BadLid),
            ("abc@lid", Error::BadLid),
            ("@g.us", Error::BadGroup),
            ("1-2-3@g.us", Error::BadGroup),
            ("status@broadcast", Error::UnknownServer),
            ("123@newsletter", Error::UnknownServer),
            ("123@", Error::UnknownServer),
        ] {
            assert_eq!(canonical(given), Err(expected), "{given}");
        }
        assert_eq!(canonical(&"1".repeat(65)), Err(Error::TooLong));
    }

    #[test]
    fn a_number_never_reaches_a_log_line() {
        let jid: Jid = "4917012345678".parse().unwrap_or_else(|_| unreachable!());
        assert_eq!(format!("{jid:?}"), "Jid(Phone)");
    }
}
