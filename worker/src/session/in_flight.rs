//! The messages that were handed to WhatsApp and are not yet written as sent. The sender adds them and the actor
//! removes them.
//!
//! An answered message stays here until its row is updated: otherwise the sender could read the row, which is still
//! queued, again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::MessageId;
use process::clock::BootTime;
use process::telemetry::trace::Step;

use super::backlog::Outlook;
use super::machine::event::Unanswered;

/// How many messages may be unanswered at the same time.
const WINDOW: usize = 64;
/// How many messages may be in flight, those included that are answered and not yet written. A worker that dies leaves
/// them to the next owner, which sends them again with the same ids.
const UNWRITTEN: usize = 4 * WINDOW;
/// How many logins of a session are remembered. Messages from before them have left, or wait for another reason.
const LOGINS: usize = 16;

/// What WhatsApp has answered to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing yet.
    None,
    /// It has the message, or has refused it for good: the next message of the chat may go.
    Over,
    /// The message must be sent again later: the next message of the chat waits for it.
    PutOff,
}

/// One message in flight.
#[derive(Debug, Clone)]
pub struct Flying {
    /// The id of its row.
    pub id: MessageId,
    /// The chat. Its next message waits for this one.
    pub chat: String,
    /// How often the message was handed over, including this time.
    pub attempts: i32,
    /// When it was accepted.
    pub accepted: BootTime,
    /// When it was handed over.
    pub since: BootTime,
    /// What WhatsApp has answered. The row is about to be updated.
    pub answer: Answer,
    /// The trace step that ends when the row is updated.
    pub step: Step,
}

#[derive(Debug, Default)]
struct Inner {
    flying: HashMap<String, Flying>,
    /// How often a message was put off, or came back to the queue.
    put_off: u64,
    held_until: Option<BootTime>,
    /// The periods in which the session was logged in, the latest last. The last one has no end while it is logged in.
    online: VecDeque<(BootTime, Option<BootTime>)>,
}

impl Inner {
    fn waiting(&self) -> impl Iterator<Item = &Flying> {
        self.flying.values().filter(|flying| flying.answer == Answer::None)
    }

    /// The chats whose next message has to wait.
    fn busy(&self) -> impl Iterator<Item = &String> {
        self.flying.values().filter(|flying| flying.answer != Answer::Over).map(|flying| &flying.chat)
    }

    fn room(&self) -> usize {
        let unanswered = self.waiting().count();
        WINDOW.saturating_sub(unanswered).min(UNWRITTEN.saturating_sub(self.flying.len()))
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

/// The messages of one session by their WhatsApp id, limited by the sender's window; and until when nothing is sent.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<Inner>);

impl InFlight {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages in flight at this moment.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let inner = self.inner();
        Outlook {
            busy: inner.busy().cloned().collect(),
            flying: inner.flying.values().map(|flying| flying.id).collect(),
            of_runs: false,
            room: inner.room(),
            put_off: inner.put_off,
        }
    }

    /// Adds a message that is about to be handed over. Returns false if it may not be: its chat is busy, or a message
    /// was put off since the outlook with this [`Outlook::put_off`].
    #[must_use]
    pub fn put(&self, whatsapp_id: &str, flying: Flying, put_off: u64) -> bool {
        let mut inner = self.inner();
        if inner.put_off != put_off || inner.busy().any(|chat| *chat == flying.chat) {
            return false;
        }
        inner.flying.insert(whatsapp_id.to_owned(), flying);
        true
    }

    /// Notes WhatsApp's answer to a message. Returns `None` if it was answered before or is not in flight. It stays
    /// here until [`InFlight::forget`].
    pub fn answered(&self, whatsapp_id: &str, answer: Answer) -> Option<Flying> {
        let mut inner = self.inner();
        let flying = inner.flying.get_mut(whatsapp_id).filter(|flying| flying.answer == Answer::None)?;
        flying.answer = answer;
        let flying = flying.clone();
        inner.put_off += u64::from(answer == Answer::PutOff);
        Some(flying)
    }

    /// Removes a message whose row was updated, or which was not handed over.
    pub fn forget(&self, id: MessageId) {
        let mut inner = self.inner();
        let mut is_back = false;
        inner.flying.retain(|_, flying| {
            let is_it = flying.id == id;
            is_back |= is_it && flying.answer != Answer::Over;
            !is_it
        });
        inner.put_off += u64::from(is_back);
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

    /// Whether nothing is in flight and no answered message is left to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner().flying.is_empty()
    }

    /// The connection is gone: removes what was not answered, so that it is sent again with the same ids. Returns how
    /// often each of those messages was handed over.
    #[must_use]
    pub fn clear(&self) -> Vec<(MessageId, i32)> {
        let mut unanswered = Vec::new();
        let mut inner = self.inner();
        inner.flying.retain(|_, flying| {
            let is_answered = flying.answer != Answer::None;
            if !is_answered {
                flying.step.fails(&"unacknowledged");
                unanswered.push((flying.id, flying.attempts));
            }
            is_answered
        });
        inner.put_off += u64::from(!unanswered.is_empty());
        unanswered
    }

    /// Nothing is sent before this instant. An instant before the current one changes nothing.
    pub fn hold(&self, until: BootTime) {
        let mut inner = self.inner();
        inner.held_until = Some(inner.held_until.map_or(until, |before| before.max(until)));
    }

    /// The session logged in, or is not logged in any more.
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

    /// Whether nothing delayed a message: the session was logged in when the message was accepted, and no hold reached
    /// beyond that moment.
    #[must_use]
    pub fn is_straight(&self, accepted: BootTime) -> bool {
        let inner = self.inner();
        let online = |(since, until): &(BootTime, Option<BootTime>)| {
            *since <= accepted && until.is_none_or(|until| accepted <= until)
        };
        inner.held_until.is_none_or(|until| until <= accepted) && inner.online.iter().any(online)
    }

    /// For how long nothing is to be sent; `None` if there is no hold.
    #[must_use]
    pub fn held(&self, now: BootTime) -> Option<Duration> {
        self.inner().held_until.map(|until| until.since(now)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use process::telemetry::trace::{self, Destination};

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::at(Duration::from_secs(seconds))
    }

    fn flying(chat: &str) -> Flying {
        let id = MessageId::new();
        let step = trace::process(Destination::Outbox, None);
        let (accepted, since) = (at(0), at(0));
        Flying { id, chat: chat.to_owned(), attempts: 1, accepted, since, answer: Answer::None, step }
    }

    /// R36: the next message of a chat may go as soon as the one before is acknowledged, but not before one that must be
    /// sent again is read anew.
    #[test]
    fn a_chat_is_free_when_it_is_answered() {
        let in_flight = InFlight::default();
        let put = |id: &str, chat, seen: &Outlook| {
            let flying = flying(chat);
            in_flight.put(id, flying.clone(), seen.put_off).then_some(flying.id)
        };
        let seen = in_flight.outlook();
        assert!(put("1", "a", &seen).is_some());
        assert!(put("2", "a", &seen).is_none(), "it is busy");
        in_flight.answered("1", Answer::Over).unwrap();
        let second = put("2", "a", &seen).unwrap();
        assert_eq!(in_flight.outlook().flying.len(), 2, "the first is not written yet");
        in_flight.answered("2", Answer::PutOff).unwrap();
        assert!(put("3", "a", &in_flight.outlook()).is_none(), "it waits for the second");
        let seen = in_flight.outlook();
        in_flight.forget(second);
        assert!(put("3", "a", &seen).is_none(), "the second is back in the queue");
        assert!(put("3", "a", &in_flight.outlook()).is_some());
        assert_eq!(in_flight.clear().len(), 1);
        assert_ne!(in_flight.outlook().put_off, seen.put_off);
    }

    /// R06: a message went straight if its session was logged in when it was accepted, on this or an earlier
    /// connection, and no hold reached beyond that.
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
