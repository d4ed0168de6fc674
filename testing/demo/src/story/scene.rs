//! What the parts of the demo share.

use kit::Phones;
use kit::http::Http;

use super::people::People;

/// What later parts need: the api with the tenant's key, the phones, the account and the people.
pub(crate) struct Scene {
    pub(super) api: Http,
    pub(super) phones: Phones,
    pub(super) account: String,
    pub(super) people: People,
}
