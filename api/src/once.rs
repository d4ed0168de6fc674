//! Requests that may be repeated. With an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) a POST does its work once,
//! however often it comes: what was answered is answered again, with its status and its headers. Another request under the same
//! key is refused (422). Problems are not kept: a request that was refused did nothing, and may be tried again.
//!
//! The request is its method, its path and its body; a JSON body is the same however its fields are ordered. Keys are a tenant's
//! own; the operator's requests share theirs. An answer that holds a secret is kept sealed under a key that only the API key
//! which got it can make.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use domain::committed::After;
use domain::conflict::Conflict;
use domain::id::{AccountId, TenantId};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::Within;
use store::idempotency::{self, Asker, Key, MAX_KEY};
use store::seal::Sealer;

use crate::auth::{self, Admin, Caller};
use crate::context::Context;
use crate::extract::{self, Body};
use crate::problem::{Problem, Result};

/// Makes a repeated request harmless.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that this answer was given before.
static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What the key that seals an answer is for.
const PURPOSE: &str = "switchboard: answer";

/// A request that does its work once.
pub struct Once<B> {
    /// What it asks for.
    pub body: B,
    asked: Option<Asked>,
}

/// The key of a request, and who it came from.
#[derive(Clone)]
struct Asked {
    key: Key,
    /// The API key, which opens what only this caller may see again.
    secret: String,
}

impl<S: Send + Sync, B: Body> FromRequest<S> for Once<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let key = key_of(request.headers())?;
        let secret = auth::presented(request.headers()).unwrap_or_default().to_owned();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let read = extract::read(request).await?;
        let body = B::read(&read)?;
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let asked =
            key.map(|key| Asked { key: Key { key, request: digest(method.as_str(), path, &read.bytes) }, secret });
        Ok(Self { body, asked })
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>> {
    let mut given = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let is_key = |key: &&str| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    match (value.to_str().ok().filter(is_key), given.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        (_, Some(_)) => Err(Problem::field("Idempotency-Key", "must be given once")),
        (None, None) => {
            Err(Problem::field("Idempotency-Key", format!("must be 1 to {MAX_KEY} visible ASCII characters")))
        }
    }
}

/// The same for the same request only. Each part goes in with its length, so that no two requests look alike.
fn digest(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    part(&mut digest, b'm', method.as_bytes());
    part(&mut digest, b'p', path.as_bytes());
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => digest_json(&mut digest, &value),
        Err(_) => part(&mut digest, b'b', body),
    }
    digest.finalize().into()
}

fn part(digest: &mut Sha256, kind: u8, bytes: &[u8]) {
    digest.update([kind]);
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

/// As deep as the JSON reader allows: 128 levels.
fn digest_json(digest: &mut Sha256, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => part(digest, b'v', value.to_string().as_bytes()),
        Value::String(text) => part(digest, b's', text.as_bytes()),
        Value::Array(items) => {
            part(digest, b'a', &(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| digest_json(digest, item));
        }
        Value::Object(fields) => {
            part(digest, b'o', &(fields.len() as u64).to_be_bytes());
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, field) in fields {
                part(digest, b'n', name.as_bytes());
                digest_json(digest, field);
            }
        }
    }
}

/// What a request meets.
pub enum Begun<A> {
    /// Its work is to be done, through this turn.
    First(Turn<A>),
    /// It was done before, and answered so.
    Again(Response),
}

impl<B> Once<B> {
    /// Begins. What the request does goes through the turn's connection, and its checks come behind this: what was right the
    /// first time is answered again even if it would be refused by now.
    ///
    /// # Errors
    /// A problem: the key belongs to another request, or its answer is another API key's secret.
    pub async fn begin(&self, caller: &Caller) -> Result<Begun<TenantId>> {
        self.met(idempotency::begin(caller.of(), self.claim()).await?)
    }

    /// As [`Once::begin`], of an admin.
    ///
    /// # Errors
    /// As [`Once::begin`].
    pub async fn begin_for_admin(&self, admin: &Admin) -> Result<Begun<idempotency::Admin>> {
        self.met(idempotency::begin_for_admin(admin.all(), self.claim()).await?)
    }

    fn claim(&self) -> Option<Key> {
        self.asked.as_ref().map(|asked| asked.key.clone())
    }

    fn met<A>(&self, begun: idempotency::Begun<A>) -> Result<Begun<A>> {
        let asked = self.asked.clone();
        match begun {
            idempotency::Begun::First(turn) => Ok(Begun::First(Turn { turn, asked })),
            idempotency::Begun::Reused => Err(Problem::KeyReused),
            idempotency::Begun::Again(answer) => again(answer, asked.as_ref()).map(Begun::Again),
        }
    }

    /// The `Idempotency-Key`, if there is one.
    pub fn key(&self) -> Option<&str> {
        self.asked.as_ref().map(|asked| asked.key.key.as_str())
    }
}

/// The work of a request, which happens once.
pub struct Turn<A> {
    turn: idempotency::Turn<A>,
    asked: Option<Asked>,
}

impl Turn<TenantId> {
    /// The caller's rows, on which the work is done.
    pub fn of(&mut self) -> Within<'_> {
        self.turn.of()
    }
}

impl Turn<idempotency::Admin> {
    /// A tenant's rows, on which the work is done.
    pub fn of(&mut self, tenant: TenantId) -> Within<'_> {
        self.turn.of(tenant)
    }
}

impl<A: Asker> Turn<A> {
    /// Writes the answer, commits, and then rings and signals.
    ///
    /// # Errors
    /// A problem when nothing was done.
    pub async fn end(self, context: &Context, done: Done) -> Result<Response> {
        let body = match &self.asked {
            Some(asked) if done.is_secret => asked.seal(&done.body)?,
            Some(_) => done.body.clone(),
            None => Vec::new(), // nobody asks for it again
        };
        let answer = idempotency::Answer {
            status: done.status.as_u16(),
            location: done.location.clone(),
            body,
            sealed: done.is_secret,
        };
        self.turn.end(&answer, done.account).await?;
        context.tell(done.after);
        Ok(respond(done.status, done.location.as_deref(), done.is_secret, done.body))
    }
}

impl Asked {
    fn sealer(&self) -> Sealer {
        Sealer::derived(self.secret.as_bytes(), format!("{PURPOSE} {}", self.key.key).as_bytes())
    }

    fn seal(&self, body: &[u8]) -> Result<Vec<u8>> {
        self.sealer().seal(body, &self.key.request).map_err(|error| Problem::internal(&error))
    }

    fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let sealer = self.sealer();
        let opened = sealer.open(sealer.key_id(), sealed, &self.key.request);
        opened.map_err(|_| Problem::Conflict(Conflict::AnswerOfAnotherKey))
    }
}

fn again(answer: idempotency::Answer, asked: Option<&Asked>) -> Result<Response> {
    let body = match asked.filter(|_| answer.sealed) {
        Some(asked) => asked.open(&answer.body)?,
        None => answer.body,
    };
    let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
    Ok(replayed(respond(status, answer.location.as_deref(), answer.sealed, body)))
}

/// Says that an answer was given before.
pub(crate) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED.clone(), HeaderValue::from_static("true"));
    response
}

fn respond(status: StatusCode, location: Option<&str>, is_secret: bool, body: Vec<u8>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if is_secret {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// What was done: the answer, and what follows its commit.
pub struct Done {
    status: StatusCode,
    body: Vec<u8>,
    location: Option<String>,
    account: Option<AccountId>,
    is_secret: bool,
    after: After,
}

impl Done {
    /// An answer in JSON.
    ///
    /// # Errors
    /// A fault of ours: it can't be written as JSON.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
        Ok(Self { status, body, location: None, account: None, is_secret: false, after: After::default() })
    }

    /// Something was made, and is found there.
    ///
    /// # Errors
    /// As [`Done::new`].
    pub fn made(location: String, body: &impl Serialize) -> Result<Self> {
        Ok(Self { location: Some(location), ..Self::new(StatusCode::CREATED, body)? })
    }

    /// Where what this is about is found.
    #[must_use]
    pub fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    /// It is about this account, and is forgotten with it.
    #[must_use]
    pub fn of(self, account: impl Into<Option<AccountId>>) -> Self {
        Self { account: account.into(), ..self }
    }

    /// It holds a secret, which is shown to nobody else.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// What follows once it is committed.
    #[must_use]
    pub fn then(self, after: After) -> Self {
        Self { after: self.after.and(after), ..self }
    }
}
