//! Pure. The address of a chat on WhatsApp. Many spellings are accepted, and one canonical form is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::phone;

/// The highest number of digits of a LID or a group id.
const MAX_ID_DIGITS: usize = 20;
/// The number of digits of the second part of an old group id: its creation time in Unix seconds.
const MADE_AT_DIGITS: usize = 10;
/// The smallest number of digits of an old group id, both parts together. No phone number has as many.
const OLD_GROUP_DIGITS: usize = phone::MAX_DIGITS + 1;
/// The longest text that is parsed, in characters. Anything longer is no address.
pub const MAX_LENGTH: usize = 64;

/// The kind of chat that an address names.
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

/// A canonical address without a device part. It contains a person's number, so its `Debug` shows only the kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Jid {
    text: String,
    kind: Kind,
}

/// Why a text is not an address. The messages are for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than any address.
    #[error("is too long for a phone number or a WhatsApp id")]
    TooLong,
    /// It has no `@` and is no phone number.
    #[error("{0}")]
    Phone(#[from] phone::Error),
    /// The part before `@s.whatsapp.net` or `@c.us` is not a user.
    #[error(
        "the part before the @ must be a phone number in digits with its country code, at most with an agent and a device \
         behind it, as in 4917012345678:3"
    )]
    BadUser,
    /// The part before `@lid` is not an id.
    #[error("the part before @lid must be 1 to {MAX_ID_DIGITS} digits, at most with an agent and a device behind them")]
    BadLid,
    /// The part before `@g.us` is not a group id.
    #[error("the part before @g.us must be digits, or two groups of digits joined by a hyphen")]
    BadGroup,
    /// The part after `@` names something that can't receive messages.
    #[error("must end in @s.whatsapp.net, @c.us, @lid or @g.us, or be a phone number")]
    UnknownServer,
}

impl Jid {
    fn new(user: &str, kind: Kind) -> Self {
        Self { text: format!("{user}@{}", kind.server()), kind }
    }

    /// The canonical text, such as `4917012345678@s.whatsapp.net`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind of chat that it names.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The part before the `@`. For [`Kind::Phone`] these are the digits of the phone number.
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
        if text.chars().count() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
        let Some((user, server)) = text.split_once('@') else {
            if is_old_group(text) {
                return Ok(Self::new(text, Kind::Group));
            }
            return Ok(Self::new(&phone::digits(text)?, Kind::Phone));
        };
        match server {
            "s.whatsapp.net" | "c.us" => {
                let user = without_device(user).filter(|user| is_number(user)).ok_or(Error::BadUser)?;
                Ok(Self::new(user, Kind::Phone))
            }
            "lid" => {
                let user = without_device(user).filter(|user| is_digits(user, MAX_ID_DIGITS)).ok_or(Error::BadLid)?;
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

/// Whether a text is the id of a group from before 2021 without its `@g.us`: the creator's number and the creation
/// time.
fn is_old_group(text: &str) -> bool {
    text.split_once('-').is_some_and(|(creator, made_at)| {
        is_number(creator)
            && is_digits(made_at, MADE_AT_DIGITS)
            && made_at.len() == MADE_AT_DIGITS
            && creator.len() + made_at.len() >= OLD_GROUP_DIGITS
    })
}

/// The user part of `user[.agent][:device]`. `1234.0:5` is device 5 of user 1234; a chat is with the user. `None` if
/// the agent or the device is not a number in its range.
fn without_device(text: &str) -> Option<&str> {
    let (text, device) = text.split_once(':').map_or((text, None), |(text, device)| (text, Some(device)));
    let (user, agent) = text.split_once('.').map_or((text, None), |(user, agent)| (user, Some(agent)));
    let is = |part: &str, most: u32| is_digits(part, 5) && part.parse().is_ok_and(|number: u32| number <= most);
    let fits = agent.is_none_or(|agent| is(agent, 255)) && device.is_none_or(|device| is(device, 65_535));
    fits.then_some(user)
}

/// Whether a text looks like a phone number in canonical form. WhatsApp decides whether it is one, since some of its
/// numbers follow older numbering plans.
fn is_number(text: &str) -> bool {
    text.len() >= phone::MIN_DIGITS && is_digits(text, phone::MAX_DIGITS) && !text.starts_with('0')
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
            (" +49 170 12345678 ", "4917012345678@s.whatsapp.net"),
            ("4917012345678@c.us", "4917012345678@s.whatsapp.net"),
            ("4917012345678@s.whatsapp.net", "4917012345678@s.whatsapp.net"),
            ("4917012345678:12@s.whatsapp.net", "4917012345678@s.whatsapp.net"),
            ("4917012345678.0:12@s.whatsapp.net", "4917012345678@s.whatsapp.net"),
            ("123456789012345@lid", "123456789012345@lid"),
            ("123456789012345:3@lid", "123456789012345@lid"),
            ("123456789012345.1:3@lid", "123456789012345@lid"),
            ("120363041234567890@g.us", "120363041234567890@g.us"),
            ("4917012345678-1612345678@g.us", "4917012345678-1612345678@g.us"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
    }

    /// R79: an old group id is recognized without `@g.us`; two groups of digits that can be a phone number are one.
    #[test]
    fn an_old_group_needs_no_end() {
        for (given, expected) in [
            ("4917012345678-1612345678", "4917012345678-1612345678@g.us"),
            ("15550001-1612345678", "15550001-1612345678@g.us"),
            ("49-17012345678", "4917012345678@s.whatsapp.net"),
            ("1-6502530000", "16502530000@s.whatsapp.net"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
        for given in ["4917012345678-16123456789", "4917012345678-161234567", "017012345678-1612345678", "a-1612345678"]
        {
            assert!(canonical(given).is_err(), "{given}");
        }
    }

    /// R80: the part before the `@` consists of a user and at most an agent and a device, in digits.
    #[test]
    fn nothing_hides_before_the_at() {
        for given in [
            "49151.00000999@c.us",
            "4917012345678.256@c.us",
            "4917012345678:65536@c.us",
            "4917012345678:@c.us",
            "4917012345678.@c.us",
            "4917012345678:1:2@c.us",
            "4917012345678:1.2@c.us",
            "4917012345678.1.2@c.us",
            "4917012345678:<script>alert(1)</script>@c.us",
            "4917012345678:-1@c.us",
            "4917012345678:+1@c.us",
            "4917012345678: 1@c.us",
            "49 17012345678@c.us",
            "+4917012345678@c.us",
            "017012345678@c.us",
            "4917@c.us",
            "49170123456781234@c.us",
            "٤٩١٧٠١٢٣٤٥٦٧٨@c.us",
            "@c.us",
        ] {
            assert_eq!(canonical(given), Err(Error::BadUser), "{given}");
        }
        for given in ["@lid", "abc@lid", "1:x@lid", "1.2.3@lid", "123456789012345678901@lid"] {
            assert_eq!(canonical(given), Err(Error::BadLid), "{given}");
        }
        for given in ["@g.us", "1-2-3@g.us", "120363041234567890:1@g.us", "1.0@g.us", "-1@g.us"] {
            assert_eq!(canonical(given), Err(Error::BadGroup), "{given}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_precisely() {
        for (given, expected) in [
            ("", Error::Empty),
            ("  ", Error::Empty),
            ("hello", Error::Phone(phone::Error::Letters)),
            ("0170123456", Error::Phone(phone::Error::LeadingZero)),
            ("120363041234567890", Error::Phone(phone::Error::TooManyDigits)),
            ("status@broadcast", Error::UnknownServer),
            ("123@newsletter", Error::UnknownServer),
            ("123@", Error::UnknownServer),
            ("4917012345678@c.us@c.us", Error::UnknownServer),
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
