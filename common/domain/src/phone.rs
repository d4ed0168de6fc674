//! Pure. Parses phone numbers as people write them. The data of libphonenumber supplies the country codes, the lengths
//! of numbers, and which numbers begin with a zero.

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, ParseError, ValidationError};

/// The smallest number of digits of a phone number, country code included.
pub const MIN_DIGITS: usize = 5;
/// The highest number of digits of a phone number (E.164).
pub const MAX_DIGITS: usize = 15;
/// Mexican mobile numbers had a 1 after the country code until 2019. WhatsApp keeps it in the addresses of older
/// accounts. The prefix, and the number of digits with it.
const OLD_MEXICAN: (&str, usize) = ("521", 13);
/// A zero that is dialed only within the country, as in `+44 (0)20 …`.
const TRUNK: &str = "(0)";

/// Why a text is not a phone number. The messages are for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// It contains a character that no phone number has.
    #[error("a phone number has digits only; spaces, dots, dashes, slashes, brackets and a + in front are passed over")]
    Letters,
    /// There is an extension after the number.
    #[error("WhatsApp knows no extensions: leave out what is behind the number")]
    Extension,
    /// A phone number in national form.
    #[error("a phone number starts with its country code, not with 0: +44 7700 900123 instead of 07700 900123")]
    LeadingZero,
    /// The zero that is dialed only within the country follows the country code.
    #[error("has a 0 behind the country code that is only dialled at home: leave it out")]
    TrunkZero,
    /// No country has this code.
    #[error("does not begin with a country code")]
    CountryCode,
    /// Too few digits.
    #[error("is too short for a phone number with its country code")]
    TooShort,
    /// Too many digits.
    #[error("a phone number has at most {MAX_DIGITS} digits; a group's id ends in @g.us")]
    TooManyDigits,
    /// The numbers of its country have other lengths.
    #[error("does not have as many digits as phone numbers of its country")]
    Length,
}

/// The digits of a phone number in international form, country code first: `+44 (0)7700 900-123` becomes
/// `447700900123`.
///
/// # Errors
/// If it can't be a phone number. Only WhatsApp knows whether it is in use.
pub fn digits(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    let text = text.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:")).map_or(text, |_| &text[4..]);
    if text.to_ascii_lowercase().contains(";ext=") {
        return Err(Error::Extension);
    }
    match text.split_once(TRUNK) {
        None => checked(&international(text)?),
        Some((code, rest)) => {
            let (code, rest) = (international(code)?, plain(rest)?);
            if code.is_empty() {
                return Err(Error::LeadingZero);
            }
            // in Italy and some other countries the zero belongs to the number
            let with_zero = format!("{code}0{rest}");
            checked(&with_zero).or_else(|error| match error {
                Error::TrunkZero => checked(&format!("{code}{rest}")),
                error => Err(error),
            })
        }
    }
}

/// The digits without a leading `+` or `00`.
fn international(text: &str) -> Result<String, Error> {
    let digits = plain(text.trim_start_matches(is_passed_over).strip_prefix(['+', '＋']).unwrap_or(text))?;
    let digits = match digits.strip_prefix("00") {
        Some(rest) if !text.contains('+') => rest.to_owned(),
        _ => digits,
    };
    if digits.starts_with('0') { Err(Error::LeadingZero) } else { Ok(digits) }
}

/// The digits of a text that contains only digits and the separators that people use.
fn plain(text: &str) -> Result<String, Error> {
    text.chars().filter(|letter| !is_passed_over(*letter)).map(|letter| digit(letter).ok_or(Error::Letters)).collect()
}

fn is_passed_over(letter: char) -> bool {
    letter.is_whitespace()
        || "-.()/[]".contains(letter)
        || matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FF0D}') // dashes
        || matches!(letter, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}') // unseen
}

/// The ASCII form of a digit. Digits of Arabic, Persian and full-width keyboards are accepted as well.
fn digit(letter: char) -> Option<char> {
    let zero = match letter {
        '0'..='9' => '0',
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6F0}'..='\u{6F9}' => '\u{6F0}',
        '\u{FF10}'..='\u{FF19}' => '\u{FF10}',
        _ => return None,
    };
    char::from_digit(u32::from(letter) - u32::from(zero), 10)
}

/// Returns the digits if they can be a phone number.
fn checked(digits: &str) -> Result<String, Error> {
    match digits.len() {
        0 => return Err(Error::Letters),
        1..MIN_DIGITS => return Err(Error::TooShort),
        MIN_DIGITS..=MAX_DIGITS => {}
        _ => return Err(Error::TooManyDigits),
    }
    let planned = match digits.strip_prefix(OLD_MEXICAN.0) {
        Some(rest) if digits.len() == OLD_MEXICAN.1 => format!("+52{rest}"),
        _ => format!("+{digits}"),
    };
    let number = PHONE_NUMBER_UTIL.parse(&planned, None).map_err(|error| match error {
        ParseError::InvalidCountryCode => Error::CountryCode,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => Error::TooShort,
        ParseError::TooLongNsn => Error::Length,
        ParseError::NotANumber(_) => Error::Letters,
    })?;
    // keep the typed digits: the library removes prefixes that WhatsApp may keep
    let national = digits.strip_prefix(&number.country_code.to_string()).ok_or(Error::CountryCode)?;
    if national.starts_with('0') && !(number.italian_leading_zero() && number.is_valid()) {
        return Err(Error::TrunkZero);
    }
    match number.is_possible_with_reason() {
        Ok(NumberLengthType::IsPossible) => Ok(digits.to_owned()),
        Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => Err(Error::TooShort),
        Err(ValidationError::InvalidCountryCode) => Err(Error::CountryCode),
        Err(ValidationError::TooLong | ValidationError::InvalidLength) => Err(Error::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R79: numbers as people write them, from address books, business cards and links.
    #[test]
    fn numbers_as_people_write_them() {
        for (given, expected) in [
            ("+44 7700 900123", "447700900123"),
            ("+44 (0)7700 900123", "447700900123"),
            ("+44 (0) 7700 900123", "447700900123"),
            ("+44(0)7700900123", "447700900123"),
            ("0044 7700 900123", "447700900123"),
            ("00 44 (0)7700 900123", "447700900123"),
            ("447700900123", "447700900123"),
            ("tel:+44-7700-900123", "447700900123"),
            ("TEL:+447700900123", "447700900123"),
            ("+1 (650) 253-0000", "16502530000"),
            ("1-650-253-0000", "16502530000"),
            ("+1.650.253.0000", "16502530000"),
            ("+49 170/1234567", "491701234567"),
            ("+49\u{a0}170\u{2011}1234567", "491701234567"),
            ("\u{202a}+49 170 1234567\u{202c}", "491701234567"),
            ("＋４９ １７０ １２３４５６７", "491701234567"),
            ("+٩٧١٥٠١٢٣٤٥٦٧", "971501234567"),
            // a zero that belongs to the number
            ("+39 06 1234 5678", "390612345678"),
            ("+39 (0)6 1234 5678", "390612345678"),
            ("+225 07 12 34 56 78", "2250712345678"),
            // a prefix that WhatsApp keeps
            ("+52 1 55 1234 5678", "5215512345678"),
            ("+52 55 1234 5678", "525512345678"),
            ("+54 9 11 1234 5678", "5491112345678"),
            ("+55 11 91234-5678", "5511912345678"),
        ] {
            assert_eq!(digits(given).as_deref(), Ok(expected), "{given}");
        }
    }

    /// R79: a text that can't be a phone number is refused with the reason.
    #[test]
    fn what_can_not_be_a_number_is_refused() {
        for (given, expected) in [
            ("", Error::Empty),
            (" \u{a0} ", Error::Empty),
            ("+", Error::Letters),
            ("()", Error::Letters),
            ("hello", Error::Letters),
            ("+1 800 FLOWERS", Error::Letters),
            ("+49 170 1234567 privat", Error::Letters),
            ("+49+1701234567", Error::Letters),
            ("tel:+44-7700-900123;ext=5", Error::Extension),
            ("07700 900123", Error::LeadingZero),
            ("(0)7700 900123", Error::LeadingZero),
            ("+0 7700 900123", Error::LeadingZero),
            ("+44 07700 900123", Error::TrunkZero),
            ("4407700900123", Error::TrunkZero),
            ("+49 0170 1234567", Error::TrunkZero),
            ("+1 0650 253 000", Error::TrunkZero),
            ("+999 1234567", Error::CountryCode),
            ("+210 1234567", Error::CountryCode),
            ("1234", Error::TooShort),
            ("+44 7700", Error::TooShort),
            ("+1 253 0000", Error::TooShort),
            ("+1 650 253 00001", Error::Length),
            ("+44 7700 900123 99", Error::Length),
            ("1203630412345678", Error::TooManyDigits),
        ] {
            assert_eq!(digits(given), Err(expected), "{given}");
        }
    }
}
