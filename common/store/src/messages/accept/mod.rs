//! Accepting messages: those of one request, or of many requests that arrive together, in one statement. A request with
//! an `Idempotency-Key` stores its answer in the same transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{PgConnection, PgPool};

use crate::batched::Batch;
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::messages::row::Message;
use crate::scope::Of;
use domain::committed::Committed;
use domain::conflict::Conflict;
use domain::id::{AccountId, MessageId};
use domain::job::Bell;
use domain::message::whatsapp_id;
use process::telemetry::trace::{self, Destination};

mod keyless;
mod request;
mod statements;

pub use request::{Answering, Draft, Met, Once};
use request::{Before, Call, Done, Fresh, Wish, sending, stored, to_store};

/// A request counts for as many rows as it has messages, or for one row per so many bytes of texts.
const BYTES: usize = 4 * 1024;
/// How often a batch looks at requests with the same key that were refused. The rest is told that the key is in use.
const LOOKS: usize = 8;
/// How often requests with a key are tried again, because another request has just used one of their keys.
const TRIES: usize = 5;

/// Queues the messages of one request, in order: all or none. Once this returns, they are safe. It goes out together with
/// other requests that arrive at the same time, and in one round trip if all of them are without a key.
///
/// # Errors
/// [`Error::NotFound`] if the tenant has no such account, [`Conflict::NotConnected`] if the account will not come
/// online without a new pairing, or never had a phone.
pub async fn accept(of: Of<'_>, account: AccountId, drafts: Vec<Draft>) -> Result<Committed<Vec<Message>>> {
    match call(of, account, drafts, None).await? {
        Done::Stored(messages) => Ok(Committed::new(messages).ring(Bell::Send { account })),
        Done::Met(_) => Err(Error::Corrupt("an answer to a request without a key".to_owned())),
    }
}

/// Queues the messages of one request as [`accept`], and stores its answer under its key. A request whose key was used
/// before changes nothing. If another request with the same key is under way, this waits for its end.
///
/// # Errors
/// As [`accept`]; [`Conflict::IdempotencyKeyInUse`] if the key can be neither claimed nor read.
pub async fn accept_once(of: Of<'_>, account: AccountId, drafts: Vec<Draft>, once: Once) -> Result<Committed<Met>> {
    match call(of, account, drafts, Some(once)).await? {
        Done::Met(Met::Reused) => Ok(Committed::new(Met::Reused)),
        // a repeated request rings, too: the first one may have been given up before it rang
        Done::Met(met) => Ok(Committed::new(met).ring(Bell::Send { account })),
        Done::Stored(_) => Err(Error::Corrupt("no answer to a request with a key".to_owned())),
    }
}

async fn call(of: Of<'_>, account: AccountId, drafts: Vec<Draft>, once: Option<Once>) -> Result<Done> {
    let Of { batches, tenant, .. } = of;
    let fresh = |draft| Fresh { id: MessageId::new(), whatsapp_id: whatsapp_id(rand::random()), draft };
    let messages: Vec<Fresh> = drafts.into_iter().map(fresh).collect();
    let step = trace::send(Destination::Outbox).tenant(tenant).account(account);
    let step = match &*messages {
        [one] => step.message(&one.id),
        many => step.batch(many.len()),
    };
    // nobody claims an account in order to accept its messages, so there is no epoch
    let line = Fence { account, epoch: 0 };
    let done = batches.call::<Accepts>(line, Call { tenant, messages, trace: step.context(), once }).await;
    step.heard(&done);
    done
}

/// Requests that are accepted together. An account is in one batch at a time, so its messages keep the order in which
/// their requests came.
struct Accepts;

impl Batch for Accepts {
    type Right = Fence;
    type Means = PgPool;
    type Call = Call;
    type Done = Done;

    const WHAT: &'static str = "messages to send";

    fn rows(call: &Call) -> usize {
        let bytes: usize = call.messages.iter().map(|message| message.draft.text.len()).sum();
        call.messages.len().max(bytes / BYTES)
    }

    /// A client that is told of it may ask again. Its `Idempotency-Key` then says whether it was done.
    fn waits() -> bool {
        false
    }

    fn most(pool: &PgPool) -> usize {
        pool.options().get_max_connections() as usize
    }

    async fn run(pool: &PgPool, calls: &[(Fence, Call)]) -> Result<Vec<Result<Done>>> {
        if calls.iter().all(|(_, call)| call.once.is_none()) {
            return at_once(&mut *pool.acquire().await?, calls).await;
        }
        for _ in 0..TRIES {
            let mut transaction = pool.begin().await?;
            if let Some(done) = once_each(&mut transaction, calls).await? {
                transaction.commit().await?;
                return Ok(done);
            }
        }
        Err(Conflict::IdempotencyKeyInUse.into())
    }
}

/// Carries out requests without keys, in one statement.
async fn at_once(db: &mut PgConnection, calls: &[(Fence, Call)]) -> Result<Vec<Result<Done>>> {
    let accounts = keyless::write(db, calls).await?;
    let done = calls
        .iter()
        .zip(accounts)
        .map(|((line, call), account)| Ok(Done::Stored(stored(*line, call, &sending(account)?))));
    Ok(done.collect())
}

/// Carries out requests in a transaction that the caller commits. `None`: another transaction has used one of their keys
/// since it was read. Then the caller must begin anew.
async fn once_each(transaction: &mut PgConnection, calls: &[(Fence, Call)]) -> Result<Option<Vec<Result<Done>>>> {
    let mut done: BTreeMap<usize, Result<Done>> = BTreeMap::new();
    let mut left: Vec<usize> = (0..calls.len()).collect();
    // what was done under each key, before or by this batch
    let mut seen: HashMap<_, Before> = HashMap::new();
    let mut looks = 0;
    while !left.is_empty() {
        // of requests with the same key, each sees what the one before has stored
        let mut keys = HashSet::new();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for place in left {
            let (_, call) = &calls[place];
            let Some(key) = call.key() else {
                now.push(place);
                continue;
            };
            if let Some(met) = seen.get(&key).and_then(|before| before.clone().for_request(call)) {
                done.insert(place, Ok(Done::Met(met)));
            } else if looks == LOOKS {
                done.insert(place, Err(Conflict::IdempotencyKeyInUse.into()));
            } else if keys.insert(key) {
                now.push(place);
            } else {
                later.push(place);
            }
        }
        (left, looks) = (later, looks + 1);
        let known = statements::look(transaction, now.iter().map(|place| &calls[*place])).await?;
        let mut wishes = Vec::new();
        for (place, known) in now.into_iter().zip(known) {
            let (line, call) = &calls[place];
            if let (Some(key), Some(before)) = (call.key(), &known.before) {
                seen.insert(key, before.clone());
            }
            let decided = match known.before.and_then(|before| before.for_request(call)) {
                Some(met) => Ok(Done::Met(met)),
                None => sending(known.account).and_then(|account| to_store(*line, call, &account)),
            };
            match &decided {
                Ok(Done::Stored(_)) => wishes.push(Wish { line: *line, call, answer: None }),
                Ok(Done::Met(Met::Now(answer))) => {
                    if let (Some(key), Some(once)) = (call.key(), &call.once) {
                        let (request, answer) = (once.key.request.to_vec(), answer.clone());
                        seen.insert(key, Before::ByThisRelease { request, answer });
                    }
                    wishes.push(Wish { line: *line, call, answer: Some(answer.clone()) });
                }
                _ => {}
            }
            done.insert(place, decided);
        }
        if !wishes.is_empty() && !statements::write(transaction, &wishes).await? {
            return Ok(None);
        }
    }
    Ok(Some(done.into_values().collect()))
}
