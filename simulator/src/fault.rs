//! The faults that can be switched on: their kinds, their targets, how often they may fire, and how often they did.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::socket::{Command, Ending};
use crate::sync::lock;

/// How many faults are remembered for the report.
const FAULTS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    // These act at once, on open sockets.
    Drop,
    Close,
    Silence,
    LogoutDevice,
    Replace,
    StreamError,
    // These act later, on whatever comes.
    Delay,
    RefuseLogins,
    TemporaryBan,
    SwallowAcks,
    AckError,
    DoubleReceipts,
    NoQr,
    QrRefs,
    PasskeyGate,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) number: Option<String>,
    pub(crate) device: Option<u16>,
    /// Only sockets that are pairing. Faults that act later never match such a target.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pairing: bool,
}

/// What a delay applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    #[default]
    Acks,
    Everything,
}

/// A fault as requested. A kind ignores fields that it does not use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Target>,
    /// How many sockets, logins or acks it applies to; for `qr_refs`, how many references are offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Scope>,
    /// The fault ends this many milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expire_s: Option<u64>,
}

/// A fault as it is reported.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fault {
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) order: Order,
    pub(crate) fired: u64,
    /// Whether it can still fire.
    pub(crate) active: bool,
    #[serde(skip)]
    ends: Option<Instant>,
}

#[derive(Default)]
pub(crate) struct Faults {
    all: Mutex<Vec<Fault>>,
    active: AtomicUsize,
    last_id: std::sync::atomic::AtomicU64,
}

impl Kind {
    fn is_immediate(self) -> bool {
        match self {
            Self::Drop | Self::Close | Self::Silence | Self::LogoutDevice | Self::Replace | Self::StreamError => true,
            Self::Delay
            | Self::RefuseLogins
            | Self::TemporaryBan
            | Self::SwallowAcks
            | Self::AckError
            | Self::DoubleReceipts
            | Self::NoQr
            | Self::QrRefs
            | Self::PasskeyGate => false,
        }
    }
}

impl Order {
    pub(crate) fn hits(&self, number: &str, device: u16) -> bool {
        self.target.as_ref().is_none_or(|target| {
            !target.pairing
                && target.number.as_deref().is_none_or(|n| n == number)
                && target.device.is_none_or(|d| d == device)
        })
    }

    /// How often the fault may fire. For these two kinds, `count` means something else.
    fn fires_max(&self) -> Option<u64> {
        match self.kind {
            Kind::QrRefs | Kind::NoQr => None,
            _ => self.count,
        }
    }
}

impl Faults {
    /// Switches a fault on. `strike` applies immediate faults to open sockets and returns how many it hit.
    pub(crate) fn switch_on(&self, order: Order, strike: impl FnOnce(&Order) -> u64) -> Fault {
        let seconds = order.expire_s.filter(|_| order.kind == Kind::TemporaryBan);
        let lasting = order.until_ms.map(Duration::from_millis).or(seconds.map(Duration::from_secs));
        let mut fault = Fault {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            fired: 0,
            active: !order.kind.is_immediate(),
            ends: lasting.map(|lasting| Instant::now() + lasting),
            order,
        };
        // A ban of a connected device also ends its connection. No other lasting fault does.
        if fault.order.kind.is_immediate() || fault.order.kind == Kind::TemporaryBan {
            fault.fired = strike(&fault.order);
        }
        let mut all = lock(&self.all);
        if all.len() >= FAULTS_MAX {
            all.retain(|fault| fault.active);
        }
        all.push(fault.clone());
        self.active.store(all.iter().filter(|f| f.active).count(), Ordering::Release);
        fault
    }

    /// The active fault of this kind for this device, if there is one. It counts as fired.
    pub(crate) fn take(&self, kind: Kind, number: &str, device: u16) -> Option<Order> {
        self.take_if(kind, number, device, |_| true)
    }

    pub(crate) fn take_if(
        &self,
        kind: Kind,
        number: &str,
        device: u16,
        fits: impl Fn(&Order) -> bool,
    ) -> Option<Order> {
        if self.active.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut all = lock(&self.all);
        let now = Instant::now();
        for fault in all.iter_mut().filter(|f| f.active) {
            if fault.ends.is_some_and(|ends| ends <= now) {
                fault.active = false;
            }
        }
        let hit = |f: &&mut Fault| f.active && f.order.kind == kind && f.order.hits(number, device) && fits(&f.order);
        let fault = all.iter_mut().find(hit)?;
        fault.fired += 1;
        fault.active = fault.order.fires_max().is_none_or(|max| fault.fired < max);
        let mut order = fault.order.clone();
        if let Some(ends) = fault.ends {
            order.expire_s = Some(ends.saturating_duration_since(now).as_secs().max(1));
        }
        self.active.store(all.iter().filter(|f| f.active).count(), Ordering::Release);
        Some(order)
    }

    pub(crate) fn report(&self) -> Vec<Fault> {
        lock(&self.all).clone()
    }

    /// Switches all faults off and forgets them.
    pub(crate) fn clear(&self) -> usize {
        let mut all = lock(&self.all);
        self.active.store(0, Ordering::Release);
        std::mem::take(&mut *all).len()
    }
}

/// The command of a fault for an open connection.
pub(crate) fn blow(order: &Order) -> Command {
    match order.kind {
        Kind::Silence => Command::Silence(order.duration_ms.map(Duration::from_millis)),
        Kind::Close => Command::End(Ending::closed("fault_close")),
        Kind::Replace => Command::End(Ending::replaced()),
        Kind::LogoutDevice => Command::End(Ending::device_removed()),
        Kind::StreamError => Command::End(Ending::stream_error(order.code.unwrap_or(503))),
        Kind::TemporaryBan => Command::End(ban(order)),
        Kind::Drop
        | Kind::Delay
        | Kind::RefuseLogins
        | Kind::SwallowAcks
        | Kind::AckError
        | Kind::DoubleReceipts
        | Kind::NoQr
        | Kind::QrRefs
        | Kind::PasskeyGate => Command::End(Ending::dropped("fault_drop")),
    }
}

/// The refusal for a client that is banned for some time.
pub(crate) fn ban(order: &Order) -> Ending {
    let code = order.code.unwrap_or(101).to_string();
    let expire = order.expire_s.unwrap_or(3_600).to_string();
    Ending::failure(402, &[("code", code), ("expire", expire)])
}
