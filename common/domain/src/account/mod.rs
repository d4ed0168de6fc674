//! Pure. An account: its states, what a client may do in each, and which labels are allowed. The transitions between the
//! states are in [`life`].

pub mod life;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::visible::is_visible;

/// The longest label, in characters.
pub const MAX_LABEL: usize = 100;
/// How long a pairing may take, in seconds. No other constant defines this.
pub const PAIRING_WINDOW_S: u32 = 300;

/// The status of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = AccountStatus))]
pub enum Status {
    /// No phone is linked.
    Unpaired,
    /// A pairing is under way.
    Pending,
    /// Its socket is open.
    Connected,
    /// A phone is linked, but the socket is closed. It reconnects by itself.
    Disconnected,
    /// The phone removed this device: only a new pairing helps.
    LoggedOut,
    /// WhatsApp banned the account.
    Banned,
}

impl Status {
    /// All states, in the order of an account's life.
    pub const ALL: [Self; 6] =
        [Self::Unpaired, Self::Pending, Self::Connected, Self::Disconnected, Self::LoggedOut, Self::Banned];

    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpaired => "unpaired",
            Self::Pending => "pending",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::LoggedOut => "logged_out",
            Self::Banned => "banned",
        }
    }

    /// Whether a pairing may start. A pairing that is under way may be started again.
    #[must_use]
    pub const fn may_pair(self) -> bool {
        match self {
            Self::Unpaired | Self::Pending | Self::Disconnected | Self::LoggedOut | Self::Banned => true,
            Self::Connected => false,
        }
    }

    /// Whether a socket is open, or is being opened for a pairing.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Pending | Self::Connected => true,
            Self::Unpaired | Self::Disconnected | Self::LoggedOut | Self::Banned => false,
        }
    }

    /// Whether a message may be queued: the account must come online without anyone's action. During a pairing this is
    /// true only if a phone was linked before, which the caller must check.
    #[must_use]
    pub const fn may_send(self) -> bool {
        match self {
            Self::Pending | Self::Connected | Self::Disconnected => true,
            Self::Unpaired | Self::LoggedOut | Self::Banned => false,
        }
    }
}

/// What keeps an account from sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// No phone is linked: pair it.
    Unpaired,
    /// A pairing is under way.
    Pairing,
    /// It has no connection to WhatsApp. It reconnects by itself.
    Offline,
    /// The phone removed this device: pair the account again, with the same phone.
    LoggedOut,
    /// WhatsApp banned it.
    Banned,
    /// WhatsApp lets the account write to nobody new for a while. Its messages go out by themselves afterwards.
    Held,
}

/// Why queued messages do not go out now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Wait {
    /// What it waits for.
    pub reason: WaitReason,
    /// Until when at least, if that is known.
    pub until: Option<DateTime<Utc>>,
}

/// What keeps an account from sending now; `None` if nothing does. A ban takes precedence over a hold.
#[must_use]
pub fn waits(
    status: Status,
    banned_until: Option<DateTime<Utc>>,
    held_until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<Wait> {
    let ahead = |until: Option<DateTime<Utc>>| until.filter(|until| *until > now);
    let (reason, until) = match status {
        Status::Banned => (WaitReason::Banned, ahead(banned_until)),
        Status::Unpaired => (WaitReason::Unpaired, None),
        Status::LoggedOut => (WaitReason::LoggedOut, None),
        Status::Pending => (WaitReason::Pairing, None),
        Status::Connected | Status::Disconnected if ahead(held_until).is_some() => {
            (WaitReason::Held, ahead(held_until))
        }
        Status::Disconnected => (WaitReason::Offline, None),
        Status::Connected => return None,
    };
    Some(Wait { reason, until })
}

/// What may be done with an account. A client can show each action as a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Link a phone: `POST …/pair`.
    Pair,
    /// Unlink it here: `POST …/unpair`.
    Unpair,
    /// Queue a message: `POST …/messages`.
    Send,
    /// Read the groups again: `POST …/groups/sync`.
    Sync,
    /// Change the label: `PATCH`.
    Rename,
    /// Remove it for good: `DELETE`.
    Delete,
}

/// What may be done in this state, in the order of the buttons. Unpair and delete succeed in every state, but unpair is
/// offered only where it changes something.
#[must_use]
pub const fn actions(status: Status) -> &'static [Action] {
    use Action::{Delete, Pair, Rename, Send, Sync, Unpair};
    match status {
        Status::Unpaired => &[Pair, Rename, Delete],
        Status::Pending => &[Pair, Unpair, Rename, Delete],
        Status::Connected => &[Send, Sync, Unpair, Rename, Delete],
        Status::Disconnected => &[Pair, Send, Unpair, Rename, Delete],
        Status::LoggedOut | Status::Banned => &[Pair, Unpair, Rename, Delete],
    }
}

/// What a pairing waits for. A person must do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = PairingStep))]
pub enum Step {
    /// The phone scans the QR code.
    Qr,
    /// The phone's owner types the eight characters.
    Code,
    /// WhatsApp asks for the account's passkey: `advice` says what to do.
    Passkey,
}

/// How a phone is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", schema(as = PairingMethod))]
pub enum Method {
    /// The phone scans a QR code.
    #[default]
    Qr,
    /// The phone's owner types an eight-character code.
    Code,
}

impl Method {
    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qr => "qr",
            Self::Code => "code",
        }
    }
}

/// Why a text is not accepted as a label or name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// It is empty, or nothing in it is visible.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed. Holds the highest number of characters.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// Contains a line break, a tab or another control character.
    #[error("must not contain control characters")]
    Control,
}

/// Checks a label and returns it without surrounding white space.
///
/// # Errors
/// If nothing in it is visible, it is longer than [`MAX_LABEL`] characters, or it has control characters.
pub fn label(text: &str) -> Result<String, LabelError> {
    name(text, MAX_LABEL)
}

/// Checks another name in the same way, with at most `most` characters.
///
/// # Errors
/// As for [`label`].
pub fn name(text: &str, most: usize) -> Result<String, LabelError> {
    let text = text.trim();
    if !is_visible(text) {
        return Err(LabelError::Empty);
    }
    if text.chars().count() > most {
        return Err(LabelError::TooLong(most));
    }
    if text.chars().any(char::is_control) {
        return Err(LabelError::Control);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R11, R27: only a connected account can't be paired.
    #[test]
    fn pairing_starts_from_every_state_but_connected() {
        for status in Status::ALL {
            assert_eq!(status.may_pair(), status != Status::Connected, "{status:?}");
        }
    }

    /// R32: the offered actions agree with the rules behind them, and every state has a way out.
    #[test]
    fn actions_agree_with_the_rules() {
        for status in Status::ALL {
            let actions = actions(status);
            assert_eq!(actions.contains(&Action::Pair), status.may_pair(), "{status:?}");
            // during a pairing it is not known here whether a phone was linked before
            let sends = status.may_send() && status != Status::Pending;
            assert_eq!(actions.contains(&Action::Send), sends, "{status:?}");
            assert_eq!(actions.contains(&Action::Sync), status == Status::Connected, "{status:?}");
            assert_eq!(actions.contains(&Action::Unpair), status != Status::Unpaired, "{status:?}");
            assert!(actions.contains(&Action::Delete) && actions.contains(&Action::Rename), "{status:?}");
        }
    }

    /// R74: the reason for waiting is returned with its end; a time in the past is no reason.
    #[test]
    fn what_an_account_waits_for() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (before, after) = (now - chrono::TimeDelta::hours(1), now + chrono::TimeDelta::hours(1));
        for (status, banned, held, expected) in [
            (Status::Connected, None, None, None),
            (Status::Connected, Some(before), Some(before), None),
            (Status::Connected, None, Some(after), Some((WaitReason::Held, Some(after)))),
            (Status::Disconnected, None, None, Some((WaitReason::Offline, None))),
            (Status::Disconnected, None, Some(before), Some((WaitReason::Offline, None))),
            (Status::Disconnected, None, Some(after), Some((WaitReason::Held, Some(after)))),
            (Status::Banned, Some(after), Some(after), Some((WaitReason::Banned, Some(after)))),
            (Status::Banned, None, None, Some((WaitReason::Banned, None))),
            (Status::LoggedOut, None, Some(after), Some((WaitReason::LoggedOut, None))),
            (Status::Unpaired, None, None, Some((WaitReason::Unpaired, None))),
            (Status::Pending, None, None, Some((WaitReason::Pairing, None))),
        ] {
            let expected = expected.map(|(reason, until)| Wait { reason, until });
            assert_eq!(waits(status, banned, held, now), expected, "{status:?} {banned:?} {held:?}");
        }
    }

    #[test]
    fn a_status_is_spelled_alike_in_rows_and_answers() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).ok(), Some(serde_json::Value::from(status.as_str())));
        }
    }

    #[test]
    fn a_label_is_trimmed_and_bounded() {
        assert_eq!(label("  Sales  ").as_deref(), Ok("Sales"));
        assert_eq!(label(" \t "), Err(LabelError::Empty));
        assert_eq!(label("a\nb"), Err(LabelError::Control));
        assert_eq!(label("a\0b"), Err(LabelError::Control));
        assert_eq!(label(&"ä".repeat(100)), Ok("ä".repeat(100)));
        assert_eq!(label(&"ä".repeat(101)), Err(LabelError::TooLong(100)));
    }
}
