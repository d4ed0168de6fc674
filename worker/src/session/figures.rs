//! The metrics of a session: its state, the gap before it, its pairing, and the times of its messages.

use std::time::Duration;

use domain::account::{PAIRING_WINDOW_S, Status};
use process::clock::BootTime;
use process::telemetry::metrics::labels::{
    FailReason, GapCause, MessageOutcome, MessagePath, MessageStage, PairingStep, SessionState,
};
use process::telemetry::metrics::{self, Held};
use store::leases::Claim;
use store::pairing::Linked;
use store::session::SessionRow;

use super::in_flight::Flying;
use super::machine::restart::UNSTABLE;
use super::machine::state::{Purpose, State};

/// Since when a linked account has had no connection, and why.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    cause: GapCause,
    since: BootTime,
}

impl Gap {
    /// The gap that a claim found; `None` if it is not known.
    #[must_use]
    pub fn of(claim: &Claim) -> Option<Self> {
        let free = Duration::try_from_secs_f64(claim.free_s?).unwrap_or_default();
        let since = BootTime::at(BootTime::now().since(BootTime::at(free)));
        Some(Self { cause: if claim.silent { GapCause::Silent } else { GapCause::Released }, since })
    }
}

/// The metrics of one session.
#[derive(Debug)]
pub(super) struct Figures {
    counted: Held,
    /// Set until the first login, or until the lack of one has another explanation.
    pub(super) gap: Option<Gap>,
    asked: Option<BootTime>,
    shown: bool,
    scanned: Option<BootTime>,
}

impl Figures {
    /// For a session that begins.
    pub(super) fn begin() -> Self {
        Self { counted: Held::begins(SessionState::Fresh), gap: None, asked: None, shown: false, scanned: None }
    }

    /// The row was read. If an earlier owner has shown a code, that owner counted the pairing as started.
    pub(super) fn looked(&mut self, row: &SessionRow) {
        if self.asked.is_none() && row.status == Status::Pending && !row.registered {
            let gone = f64::from(PAIRING_WINDOW_S) - row.window_left_s;
            let gone = Duration::try_from_secs_f64(gone).unwrap_or_default();
            self.asked = Some(BootTime::at(BootTime::now().since(BootTime::at(gone))));
            self.shown = row.code_shown;
        }
    }

    /// The machine made a step.
    pub(super) fn stepped(&mut self, before: Option<SessionState>, state: &State) {
        self.counted.moved(state.word());
        self.counted.is_unstable(state.restarts() >= UNSTABLE);
        match state {
            State::Opening { purpose: Purpose::Pair(_), .. } => {
                self.gap = None;
                if before == Some(SessionState::Fresh) && !self.shown {
                    metrics::PAIRINGS.of(PairingStep::Started).inc();
                }
            }
            // `tries: 0` is a ban, which no worker could have shortened; every other wait has tries
            State::Backoff { tries: 0, .. } | State::Linking { .. } => self.gap = None,
            State::Opening { purpose: Purpose::FirstLogin | Purpose::LogOut { .. }, .. } => self.gap = None,
            State::Online { .. } => {
                if let Some(gap) = self.gap.take() {
                    let seconds = BootTime::now().since(gap.since).as_secs_f64();
                    metrics::TAKEOVER_GAP_SECONDS.of(gap.cause).observe_with_trace(seconds);
                }
            }
            _ => {}
        }
    }

    /// A code was written to the row.
    pub(super) fn code_shown(&mut self) {
        if std::mem::replace(&mut self.shown, true) {
            return;
        }
        metrics::PAIRINGS.of(PairingStep::CodeShown).inc();
        if let Some(asked) = self.asked {
            metrics::PAIRING_FIRST_CODE_SECONDS.observe_with_trace(BootTime::now().since(asked).as_secs_f64());
        }
    }

    /// A phone accepted the device.
    pub(super) fn scanned(&mut self) {
        metrics::PAIRINGS.of(PairingStep::Scanned).inc();
        self.scanned = Some(BootTime::now());
    }

    /// The first login was written.
    pub(super) fn linked(&mut self, linked: &Linked) {
        match linked {
            Linked::Connected => {
                metrics::PAIRINGS.of(PairingStep::Connected).inc();
                if let Some(scanned) = self.scanned.take() {
                    metrics::PAIRING_SCAN_SECONDS.observe_with_trace(BootTime::now().since(scanned).as_secs_f64());
                }
            }
            Linked::Duplicate { .. } => metrics::PAIRINGS.of(PairingStep::Duplicate).inc(),
        }
    }
}

/// WhatsApp's server accepted a message. `straight`: nothing delayed it, as
/// [`InFlight::is_straight`](super::in_flight::InFlight::is_straight) decides.
pub(super) fn acknowledged(message: &Flying, straight: bool) {
    let now = BootTime::now();
    let path = if straight { MessagePath::Straight } else { MessagePath::Waited };
    let whole = now.since(message.accepted).as_secs_f64();
    let stages = &metrics::MESSAGE_STAGE_SECONDS;
    metrics::MESSAGE_END_TO_END_SECONDS.of(path).observe_with_trace(whole);
    stages.of(MessageStage::HandedOver).observe_with_trace(message.since.since(message.accepted).as_secs_f64());
    stages.of(MessageStage::Server).observe_with_trace(now.since(message.since).as_secs_f64());
}

/// The end of a message was written: sent, or failed for a reason.
pub(super) fn left(failed: Option<FailReason>) {
    match failed {
        None => metrics::MESSAGES.of(MessageOutcome::Sent).inc(),
        Some(why) => {
            metrics::MESSAGES.of(MessageOutcome::Failed).inc();
            metrics::MESSAGES_FAILED.of(why).inc();
        }
    }
}
