//! Converts the account's row into the facts that the machine needs.

use std::time::Duration;

use domain::account::Method;
use store::session::SessionRow;

use super::machine::event::Facts;

impl From<&SessionRow> for Facts {
    fn from(row: &SessionRow) -> Self {
        Facts {
            wanted: row.wanted,
            status: row.status,
            registered: row.registered,
            linked: row.phone_number.is_some(),
            window_left: Duration::try_from_secs_f64(row.window_left_s).unwrap_or_default(),
            banned_left: Duration::try_from_secs_f64(row.banned_left_s).unwrap_or_default(),
            code_for: row.pairing_phone.clone().filter(|_| row.pairing_method == Some(Method::Code)),
            groups_wanted: row.groups_wanted_at.is_some(),
            passkey_answered: row.passkey_answered,
        }
    }
}
