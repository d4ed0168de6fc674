//! Requests that may be repeated. With an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), a POST does
//! its work once, however often it is sent. A repetition gets the same answer, with the same status and headers. A
//! different request with the same key is refused (422). Problems are not stored: a refused request did nothing and may
//! be tried again.
//!
//! A request is identified by its method, path and body. The order of fields in a JSON body does not matter. Each
//! tenant has its own keys, and the operators share theirs. An answer with a secret is stored sealed, under a key that
//! only the API key of the first request can derive.

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

/// The header that makes a repeated request harmless.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
static IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The purpose of the key that seals an answer.
const PURPOSE: &str = "switchboard: answer";

/// A request that does its work once.
pub struct Once<B> {
    /// The parsed body.
    pub body: B,
    asked: Option<Asked>,
}

/// The key of a request, and the caller's API key.
#[derive(Clone)]
struct Asked {
    key: Key,
    /// The API key. It opens answers that only this caller may see again.
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

/// A digest that is equal only for the same request. Each part is preceded by its length, so that different requests
/// can't collide.
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

/// Digests a JSON value. The JSON parser limits its depth to 128 levels.
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

/// The state of a request.
pub enum Begun<A> {
    /// The work must be done, through this turn.
    First(Turn<A>),
    /// It was done before. Holds the answer.
    Again(Response),
}

impl<B> Once<B> {
    /// Begins a request of a tenant. The work must use the turn's rows. Checks of the request must come after this call, so
    /// that a repetition gets its answer even if the checks would now fail.
    ///
    /// # Errors
    /// A problem if the key belongs to another request, or if its answer contains another API key's secret.
    pub async fn begin(&self, caller: &Caller) -> Result<Begun<TenantId>> {
        self.met(idempotency::begin(caller.of(), self.claim()).await?)
    }

    /// As [`Once::begin`], for a request of an admin.
    ///
    /// # Errors
    /// As [`Once::begin`].
    pub async fn begin_for_admin(&self, admin: &Admin) -> Result<Begun<idempotency::Admin>> {
        self.met(idempotency::begin_for_admin(admin.all(), self.claim()).await?)
    }

    fn met<A>(&self, begun: idempotency::Begun<A>) -> Result<Begun<A>> {
        let asked = self.asked.clone();
        match begun {
            idempotency::Begun::First(turn) => Ok(Begun::First(Turn { turn, asked })),
            idempotency::Begun::Reused => Err(Problem::KeyReused),
            idempotency::Begun::Again(answer) => again(answer, asked.as_ref()).map(Begun::Again),
        }
    }

    /// The key, for a call of the store that does the work and stores the answer in one step; `None` if the request has
    /// none.
    pub fn claim(&self) -> Option<Key> {
        self.asked.as_ref().map(|asked| asked.key.clone())
    }

    /// The answer that was given before, as the store has kept it.
    ///
    /// # Errors
    /// A problem if it contains another API key's secret.
    pub fn again(&self, answer: idempotency::Answer) -> Result<Response> {
        again(answer, self.asked.as_ref())
    }

    /// The answer to a request that would be refused now: the one that it got before, or else this problem.
    ///
    /// # Errors
    /// The problem, unless the request was answered before. Another one as for [`Once::begin`].
    pub async fn refused(&self, caller: &Caller, problem: Problem) -> Result<Response> {
        match &self.asked {
            None => Err(problem),
            Some(_) => match self.begin(caller).await? {
                Begun::First(_) => Err(problem),
                Begun::Again(answer) => Ok(answer),
            },
        }
    }

    /// The body, and the request without it.
    pub fn apart(self) -> (B, Once<()>) {
        (self.body, Once { body: (), asked: self.asked })
    }
}

/// The right to do the work of a request once.
pub struct Turn<A> {
    turn: idempotency::Turn<A>,
    asked: Option<Asked>,
}

impl Turn<TenantId> {
    /// The caller's rows, for the work.
    pub fn of(&mut self) -> Within<'_> {
        self.turn.of()
    }
}

impl Turn<idempotency::Admin> {
    /// A tenant's rows, for the work.
    pub fn of(&mut self, tenant: TenantId) -> Within<'_> {
        self.turn.of(tenant)
    }
}

impl<A: Asker> Turn<A> {
    /// Stores the answer, commits, and then rings and signals.
    ///
    /// # Errors
    /// A problem. Then nothing was done.
    pub async fn end(self, context: &Context, done: Done) -> Result<Response> {
        let body = match &self.asked {
            Some(asked) if done.is_secret => asked.seal(&done.body)?,
            Some(_) => done.body.clone(),
            None => Vec::new(), // nobody can ask for it again
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

/// The answer to a request whose work is done, without a secret.
///
/// # Errors
/// An internal error if it is no answer.
pub fn first(answer: idempotency::Answer) -> Result<Response> {
    let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
    Ok(respond(status, answer.location.as_deref(), answer.sealed, answer.body))
}

fn again(answer: idempotency::Answer, asked: Option<&Asked>) -> Result<Response> {
    let body = match asked.filter(|_| answer.sealed) {
        Some(asked) => asked.open(&answer.body)?,
        None => answer.body,
    };
    let status = StatusCode::from_u16(answer.status).map_err(|error| Problem::internal(&error))?;
    Ok(replayed(respond(status, answer.location.as_deref(), answer.sealed, body)))
}

/// Marks an answer as given before.
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

/// The result of a request: the answer, and what follows its commit.
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
    /// An internal error if the body can't be written as JSON.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
        Ok(Self { status, body, location: None, account: None, is_secret: false, after: After::default() })
    }

    /// The answer for an object that was created at `location`.
    ///
    /// # Errors
    /// As for [`Done::new`].
    pub fn made(location: String, body: &impl Serialize) -> Result<Self> {
        Ok(Self { location: Some(location), ..Self::new(StatusCode::CREATED, body)? })
    }

    /// Sets the URL of the object that the answer is about.
    #[must_use]
    pub fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    /// Sets the account that the answer is about. The answer is deleted with the account.
    #[must_use]
    pub fn of(self, account: impl Into<Option<AccountId>>) -> Self {
        Self { account: account.into(), ..self }
    }

    /// Marks the body as secret, so that only the same API key can see it again.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// The answer as the store keeps it. Only for an answer without a secret.
    #[must_use]
    pub fn kept(self) -> idempotency::Answer {
        let Self { status, body, location, is_secret, .. } = self;
        debug_assert!(!is_secret, "a secret must be sealed");
        idempotency::Answer { status: status.as_u16(), location, body, sealed: is_secret }
    }

    /// Adds what must follow the commit.
    #[must_use]
    pub fn then(self, after: After) -> Self {
        Self { after: self.after.and(after), ..self }
    }
}
