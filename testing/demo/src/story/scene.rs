//! What the sections of the story share.

use super::people::People;
use crate::http::Http;

/// What later sections need: the api with the tenant's key, the simulator, the account and the people.
pub(crate) struct Scene {
    pub(super) api: Http,
    pub(super) simulator: Http,
    pub(super) account: String,
    pub(super) people: People,
}
