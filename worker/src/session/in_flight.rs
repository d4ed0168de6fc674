//! What was handed to WhatsApp and is not written as sent yet: shared by the sender, which adds, and the actor, which removes.
//!
//! An answered message stays here until its row says so: otherwise the sender could read the row, still queued, once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::trace::Step;

use super::machine::event::Unanswered;

/// Logins of a session that are remembered: messages of an older one have left, or wait for something else.
const LOGINS: usize = 16;

/// One message on its way.
#[derive(Debug, Clone)]
pub struct Flying {
    /// Its row.
    pub id: MessageId,
    /// The chat: its next message waits for this one.
    pub chat: String,
    /// How often it was handed over, this time included.
    pub attempts: i32,
    /// When it was accepted.
    pub accepted: BootTime,
    /// When it was handed over.
    pub since: BootTime,
    /// WhatsApp has answered; the row is about to be written.
    pub answered: bool,
    /// The step of its story that ends with the row.
    pub step: Step,
}

#[derive(Debug, Default)]
struct Inner {
    flying: HashMap<String, Flying>,
    held_until: Option<BootTime>,
    /// When the session was logged in, the latest last; open where it is now.
    online: VecDeque<(BootTime, Option<BootTime>)>,
}

impl Inner {
    fn waiting(&self) -> impl Iterator<Item = &Flying> {
        self.flying.values().filter(|flying| !flying.answered)
    }

    fn facts(&self, flying: &Flying, now: BootTime) -> Unanswered {
        let others = self.waiting().filter(|other| other.id != flying.id).map(|other| now.since(other.since));
        Unanswered {
            message: flying.id,
            attempts: flying.attempts,
            waited: now.since(flying.since),
            others: others.max().unwrap_or_default(),
        }
    }
}

/// The messages of one session by their WhatsApp id, bounded by the sender's window; and until when nothing is to be sent.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<Inner>);

impl InFlight {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is about to be handed over.
    pub fn put(&self, whatsapp_id: &str, flying: Flying) {
        self.inner().flying.insert(whatsapp_id.to_owned(), flying);
    }

    /// WhatsApp has answered; `None` when it was answered before, or is not ours. It stays until [`InFlight::forget`].
    pub fn answered(&self, whatsapp_id: &str) -> Option<Flying> {
        let mut inner = self.inner();
        let flying = inner.flying.get_mut(whatsapp_id).filter(|flying| !flying.answered)?;
        flying.answered = true;
        Some(flying.clone())
    }

    /// Its row has been written, or it did not go out: the row alone speaks for it again.
    pub fn forget(&self, id: MessageId) {
        self.inner().flying.retain(|_, flying| flying.id != id);
    }

    /// The chats to which a message is on its way: one each.
    #[must_use]
    pub fn busy(&self) -> Vec<String> {
        self.inner().flying.values().map(|flying| flying.chat.clone()).collect()
    }

    /// The message that has been waiting longest for an answer.
    #[must_use]
    pub fn oldest(&self, now: BootTime) -> Option<Unanswered> {
        let inner = self.inner();
        let oldest = inner.waiting().min_by_key(|flying| flying.since)?;
        Some(inner.facts(oldest, now))
    }

    /// This message, if it waits for an answer.
    #[must_use]
    pub fn unanswered(&self, id: MessageId, now: BootTime) -> Option<Unanswered> {
        let inner = self.inner();
        let flying = inner.waiting().find(|flying| flying.id == id)?;
        Some(inner.facts(flying, now))
    }

    /// Whether nothing is on its way and nothing answered is left to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner().flying.is_empty()
    }

    /// The connection is gone: what was not answered goes out again with the same ids. Answers how often each of those was
    /// handed over by now.
    #[must_use]
    pub fn clear(&self) -> Vec<(MessageId, i32)> {
        let mut unanswered = Vec::new();
        self.inner().flying.retain(|_, flying| {
            if !flying.answered {
                flying.step.fails(&"unacknowledged");
                unanswered.push((flying.id, flying.attempts));
            }
            flying.answered
        });
        unanswered
    }

    /// Nothing is to be sent before this instant; an earlier one changes nothing.
    pub fn hold(&self, until: BootTime) {
        let mut inner = self.inner();
        inner.held_until = Some(inner.held_until.map_or(until, |before| before.max(until)));
    }

    /// The session is logged in, or is no more.
    pub fn is_online(&self, online: bool, now: BootTime) {
        let mut inner = self.inner();
        if !online {
            if let Some((_, until)) = inner.online.back_mut() {
                until.get_or_insert(now);
            }
            return;
        }
        inner.online.push_back((now, None));
        if inner.online.len() > LOGINS {
            inner.online.pop_front();
        }
    }

    /// Whether nothing stood between a message and the socket: this session was logged in when it was accepted, and no hold
    /// has reached beyond that.
    #[must_use]
    pub fn is_straight(&self, accepted: BootTime) -> bool {
        let inner = self.inner();
        let online = |(since, until): &(BootTime, Option<BootTime>)| {
            *since <= accepted && until.is_none_or(|until| accepted <= until)
        };
        inner.held_until.is_none_or(|until| until <= accepted) && inner.online.iter().any(online)
    }

    /// How long nothing is to be sent, if so.
    #[must_use]
    pub fn held(&self, now: BootTime) -> Option<Duration> {
        self.inner().held_until.map(|until| until.since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::at(Duration::from_secs(seconds))
    }

    /// R06: a message went straight when its session was logged in at its acceptance, then or on an earlier connection, and no
    /// hold reached beyond that.
    #[test]
    fn a_message_goes_straight_or_waits() {
        let in_flight = InFlight::default();
        assert!(!in_flight.is_straight(at(5)), "never logged in");
        in_flight.is_online(true, at(10));
        in_flight.is_online(false, at(20));
        in_flight.is_online(false, at(25));
        in_flight.is_online(true, at(30));
        for (accepted, straight) in
            [(9, false), (10, true), (15, true), (20, true), (22, false), (30, true), (99, true)]
        {
            assert_eq!(in_flight.is_straight(at(accepted)), straight, "accepted at {accepted}");
        }
        in_flight.hold(at(50));
        for (accepted, straight) in [(15, false), (49, false), (50, true), (60, true)] {
            assert_eq!(in_flight.is_straight(at(accepted)), straight, "accepted at {accepted}, held until 50");
        }
        for login in 0..2 * LOGINS as u64 {
            in_flight.is_online(false, at(100 + 2 * login));
            in_flight.is_online(true, at(101 + 2 * login));
        }
        assert_eq!(in_flight.inner().online.len(), LOGINS);
    }
}
