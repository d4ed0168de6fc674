//! Authentication. A handler reaches rows only through the extractors here: a [`Caller`] has the rows of its own tenant,
//! and an [`Admin`] those of all tenants.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{ApiKeyId, TenantId};
use sha2::{Digest as _, Sha256};
use store::api_keys::Identity;
use store::audit::Operator;
use store::{ForAllTenants, Of, Store, Tenants};

use crate::context::Context;
use crate::problem::{Problem, Result};

pub mod rows;

/// The number of random bytes in a key.
const SECRET_BYTES: usize = 32;

/// A new key: `sb_a_…` for an admin, `sb_t_…` for a tenant. It is shown once, and only its digest is stored.
#[must_use]
pub fn generate(tenant: Option<TenantId>) -> String {
    let role = if tenant.is_some() { 't' } else { 'a' };
    format!("sb_{role}_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>()))
}

/// The digest under which a key is stored. Keys are random, so a plain SHA-256 can't be reversed by guessing.
#[must_use]
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// A caller with a tenant's key.
#[derive(Debug, Clone)]
pub struct Caller {
    tenants: Tenants,
    tenant: TenantId,
    /// The key.
    pub key: ApiKeyId,
    /// The key's digest, for checking it again while a stream is open.
    pub digest: [u8; 32],
}

impl Caller {
    /// The tenant of the key.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The rows of the caller's tenant.
    #[must_use]
    pub const fn of(&self) -> Of<'_> {
        self.tenants.of(self.tenant)
    }

    /// The caller in the form of the audit trail.
    #[must_use]
    pub const fn operator(&self) -> Operator {
        Operator::Key(self.key)
    }
}

/// A caller with an admin key.
#[derive(Debug, Clone)]
pub struct Admin {
    store: Store,
    key: ApiKeyId,
}

impl Admin {
    /// The rows of a tenant.
    pub const fn of(&self, tenant: TenantId) -> Of<'_> {
        self.store.of(tenant)
    }

    /// The rows of all tenants.
    pub const fn all(&self) -> ForAllTenants<'_> {
        self.store.for_all_tenants()
    }

    /// The caller in the form of the audit trail.
    pub const fn operator(&self) -> Operator {
        Operator::Key(self.key)
    }
}

impl FromRequestParts<Context> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self> {
        let (identity, digest) = identify(&parts.headers, context).await?;
        match identity.tenant {
            Some(tenant) => Ok(Self { tenants: context.rows.store.tenants(), tenant, key: identity.key, digest }),
            None => Err(Problem::Forbidden("This is a tenant's: use a key of that tenant")),
        }
    }
}

impl FromRequestParts<Context> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self> {
        let (identity, _) = identify(&parts.headers, context).await?;
        match identity.tenant {
            None => Ok(Self { store: context.rows.store.clone(), key: identity.key }),
            Some(_) => Err(Problem::Forbidden("This is for admins: use an admin key")),
        }
    }
}

async fn identify(headers: &HeaderMap, context: &Context) -> Result<(Identity, [u8; 32])> {
    let key = presented(headers).ok_or(Problem::Unauthorized)?;
    let digest = digest(key);
    let identity = context.keys.identify(&digest).await?.ok_or(Problem::Unauthorized)?;
    Ok((identity, digest))
}

/// The key of a request, if it has the form of one. `Authorization` takes precedence.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let key = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())?
        }
        None => headers.get("x-api-key")?.to_str().ok()?.trim(),
    };
    let (role, secret) = key.strip_prefix("sb_")?.split_once('_')?;
    let plausible = matches!(role, "a" | "t") && secret.len() == SECRET_BYTES.div_ceil(3) * 4 - 1;
    plausible.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_key_is_recognised_and_tells_its_role() {
        let tenant = generate(Some(TenantId::new()));
        assert!(tenant.starts_with("sb_t_") && generate(None).starts_with("sb_a_"));
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", tenant.parse().unwrap_or_else(|_| unreachable!()));
        assert_eq!(presented(&headers), Some(tenant.as_str()));
        headers.insert("authorization", "Basic abc".parse().unwrap_or_else(|_| unreachable!()));
        assert_eq!(presented(&headers), None);
        let bearer = format!("bearer {tenant}");
        headers.insert("authorization", bearer.parse().unwrap_or_else(|_| unreachable!()));
        assert_eq!(presented(&headers), Some(tenant.as_str()));
    }

    #[test]
    fn what_is_no_key_is_not_looked_up() {
        for text in ["", "sb_t_", "sb_x_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "hello"] {
            let mut headers = HeaderMap::new();
            headers.insert("x-api-key", text.parse().unwrap_or_else(|_| unreachable!()));
            assert_eq!(presented(&headers), None, "{text}");
        }
    }
}
