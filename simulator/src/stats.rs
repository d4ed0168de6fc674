//! The counters of `/admin/stats`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::sync::lock;

/// The highest number of kinds of unknown requests that are counted separately.
const UNKNOWN_KINDS_MAX: usize = 200;

#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) handshakes_xx: AtomicU64,
    pub(crate) handshakes_ik: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) logins: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) pairings: AtomicU64,
    pub(crate) unlinks: AtomicU64,
    pub(crate) direct_messages: AtomicU64,
    pub(crate) group_messages: AtomicU64,
    pub(crate) acks: AtomicU64,
    pub(crate) error_acks: AtomicU64,
    pub(crate) swallowed_acks: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) redelivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) client_receipts: AtomicU64,
    pub(crate) phone_messages: AtomicU64,
    pub(crate) phone_sends: AtomicU64,
    pub(crate) delivery_receipts: AtomicU64,
    pub(crate) read_receipts: AtomicU64,
    pub(crate) retries_asked: AtomicU64,
    pub(crate) retries_answered: AtomicU64,
    pub(crate) undecryptable: AtomicU64,
    pub(crate) pings: AtomicU64,
    pub(crate) iqs: AtomicU64,
    unknown_iqs: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    pub(crate) fn unknown_iq(&self, kind: &str) {
        let mut kinds = lock(&self.unknown_iqs);
        if kinds.len() < UNKNOWN_KINDS_MAX || kinds.contains_key(kind) {
            *kinds.entry(kind.to_owned()).or_insert(0) += 1;
        }
    }

    pub(crate) fn report(&self) -> Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "handshakes": { "xx": of(&self.handshakes_xx), "ik": of(&self.handshakes_ik), "failed": of(&self.handshakes_failed) },
            "logins": of(&self.logins),
            "logins_refused": of(&self.logins_refused),
            "pairings": of(&self.pairings),
            "unlinks": of(&self.unlinks),
            "messages": { "direct": of(&self.direct_messages), "group": of(&self.group_messages) },
            "acks": { "ok": of(&self.acks), "error": of(&self.error_acks), "swallowed": of(&self.swallowed_acks) },
            "stanzas": { "queued": of(&self.queued), "redelivered": of(&self.redelivered), "dropped": of(&self.dropped) },
            "client_receipts": of(&self.client_receipts),
            "phones": {
                "messages_shown_or_repeated": of(&self.phone_messages),
                "sent": of(&self.phone_sends),
                "delivery_receipts": of(&self.delivery_receipts),
                "read_receipts": of(&self.read_receipts),
                "retries_asked": of(&self.retries_asked),
                "retries_answered": of(&self.retries_answered),
                "undecryptable": of(&self.undecryptable),
            },
            "iqs": of(&self.iqs),
            "pings": of(&self.pings),
            "unknown_iqs": *lock(&self.unknown_iqs),
        })
    }
}
