//! Every state, every event, and helpers to build them.

use super::*;

pub(super) const NOW: BootTime = BootTime::at(Duration::from_secs(1_000));
pub(super) const WINDOW: Duration = Duration::from_secs(300);

pub(super) const MESSAGE: MessageId = MessageId(uuid::Uuid::from_u128(1));

/// Opens at once, because a person waits.
pub(super) const OPEN: Action = Action::Open { queue: false };
/// Opens in its turn.
pub(super) const QUEUE: Action = Action::Open { queue: true };

pub(super) fn later(seconds: u64) -> BootTime {
    NOW + Duration::from_secs(seconds)
}

pub(super) fn facts(status: Status, registered: bool) -> Facts {
    Facts {
        wanted: Wanted::Online,
        status,
        registered,
        linked: registered && status != Status::Pending,
        window_left: WINDOW,
        banned_left: Duration::ZERO,
        code_for: None,
        groups_wanted: false,
        passkey_answered: false,
    }
}

pub(super) fn who() -> Who {
    Who { number: "15550001".into(), jid: "15550001:3@s.whatsapp.net".into(), lid: None, push_name: "Ada".into() }
}

pub(super) fn attempt(code_for: Option<&str>) -> Attempt {
    Attempt { until: NOW + WINDOW, code_for: code_for.map(str::to_owned), gated: false }
}

/// An attempt for which WhatsApp demanded a passkey.
pub(super) fn gated() -> Attempt {
    Attempt { gated: true, ..attempt(None) }
}

pub(super) fn pairing() -> State {
    State::Pairing { attempt: attempt(None), shown: 1, tries: 0 }
}

pub(super) fn pair() -> Purpose {
    Purpose::Pair(attempt(None))
}

pub(super) fn opening(purpose: Purpose) -> State {
    State::Opening { purpose, tries: 0, until: None }
}

pub(super) fn accepted() -> State {
    State::Accepted { until: later(30) }
}

pub(super) fn online() -> State {
    State::Online { since: NOW, tries: 0, groups: Groups::Known }
}

/// A message that has waited this many seconds, and others beside it.
pub(super) fn unanswered(waited: u64, others: u64) -> Unanswered {
    let (waited, others) = (Duration::from_secs(waited), Duration::from_secs(others));
    Unanswered { message: MESSAGE, attempts: 7, waited, others }
}

pub(super) fn blamed(times: i32) -> Event {
    Event::Blamed { message: MESSAGE, attempts: 7, times }
}

pub(super) fn dropped() -> CloseReason {
    CloseReason::Dropped("gone".into())
}

pub(super) fn closing(end: End) -> State {
    State::Closing { deadline: later(10), then: After::End(end) }
}

pub(super) fn every_state() -> Vec<State> {
    let mut states = vec![
        State::Fresh,
        pairing(),
        State::Pairing { attempt: attempt(Some("15550001")), shown: 0, tries: 0 },
        State::Pairing { attempt: gated(), shown: 1, tries: 0 },
        accepted(),
        State::Linking { tries: 0 },
        online(),
        State::Online { since: NOW, tries: 4, groups: Groups::Known },
        State::Online { since: NOW, tries: 0, groups: Groups::Reading },
        State::Online { since: NOW, tries: 0, groups: Groups::ReadAgain },
        State::Finishing { until: later(3) },
        State::Rechecking { tries: 1 },
        State::LoggingOut { end: End::Removed, until: later(15) },
        State::LoggingOut { end: End::Unlinked, until: later(15) },
        State::LoggingOut { end: End::Settled, until: later(15) },
        closing(End::Released),
        closing(End::Settled),
        closing(End::Removed),
        closing(End::Unlinked),
        closing(End::Lost(Loss::Fenced)),
        State::Closing { deadline: later(10), then: After::Reopen { purpose: Purpose::Resume, tries: 1 } },
        State::Ended(End::Settled),
    ];
    for purpose in [
        pair(),
        Purpose::FirstLogin,
        Purpose::Resume,
        Purpose::LogOut { end: End::Removed },
        Purpose::LogOut { end: End::Unlinked },
    ] {
        states.push(opening(purpose));
    }
    for purpose in [
        pair(),
        Purpose::FirstLogin,
        Purpose::Resume,
        Purpose::LogOut { end: End::Removed },
        Purpose::LogOut { end: End::Unlinked },
    ] {
        states.push(State::Backoff { until: later(5), purpose, tries: 1 });
    }
    states
}

pub(super) fn every_reason() -> Vec<CloseReason> {
    vec![
        CloseReason::RestartRequired,
        CloseReason::Replaced,
        CloseReason::LoggedOut { reason: "unlinked".into() },
        CloseReason::Banned { code: 101, expires_in: Duration::from_secs(60) },
        CloseReason::Outdated,
        CloseReason::Refused { code: 503 },
        dropped(),
        CloseReason::PairingExpired,
        CloseReason::Requested,
        CloseReason::Fenced,
        CloseReason::UnknownKey("2".into()),
    ]
}

pub(super) fn every_event() -> Vec<Event> {
    let mut events = vec![
        Event::Tick,
        Event::Opened,
        Event::Code { code: "2@x".into(), lifetime: Duration::from_secs(60) },
        Event::CodeStale,
        Event::Advice(Passkey::Compare("ABCD-1234".into())),
        Event::Accepted { jid: "15550001:3@s.whatsapp.net".into() },
        Event::PairFailed("no".into()),
        Event::Connected(who()),
        Event::Linked(None),
        Event::Linked(Some("Front desk".into())),
        Event::LoggedOut { confirmed: true },
        Event::Stale(None),
        Event::Stale(Some(unanswered(0, 0))),
        Event::Stale(Some(unanswered(0, 3))),
        Event::Waits(unanswered(15, 0)),
        Event::Waits(unanswered(16, 0)),
        Event::Waits(unanswered(16, 16)),
        blamed(4),
        blamed(5),
        Event::Idle,
        Event::GroupsChanged,
        Event::GroupsRead,
        Event::Release,
        Event::Lost(Loss::Fenced),
    ];
    events.extend(every_reason().into_iter().map(Event::Closed));
    events.extend(every_row().into_iter().map(Event::Row));
    events
}

pub(super) fn every_row() -> Vec<Facts> {
    let mut rows = vec![
        Facts { groups_wanted: true, ..facts(Status::Connected, true) },
        Facts { passkey_answered: true, ..facts(Status::Pending, false) },
    ];
    for status in Status::ALL {
        for wanted in [Wanted::Online, Wanted::Offline, Wanted::Erased, Wanted::Unlinked] {
            for registered in [true, false] {
                rows.push(Facts { wanted, ..facts(status, registered) });
            }
        }
    }
    rows
}

pub(super) fn opens(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Open { .. }))
}

pub(super) fn writes(actions: &[Action]) -> bool {
    actions.iter().any(|action| match action {
        Action::ShowQr { .. }
        | Action::Accept { .. }
        | Action::Advise(_)
        | Action::GiveUp { .. }
        | Action::Link(_)
        | Action::Status { .. }
        | Action::Scrub
        | Action::Blame { .. }
        | Action::GiveUpMessage { .. }
        | Action::Unstable { .. }
        | Action::Recovered { .. }
        | Action::Remove
        | Action::Unlink { .. } => true,
        Action::Open { .. }
        | Action::Close
        | Action::Abort
        | Action::Logout
        | Action::Recheck
        | Action::AskCode { .. }
        | Action::AnswerPasskey
        | Action::SyncGroups
        | Action::StartSending
        | Action::StopSending
        | Action::Drain
        | Action::Restart { .. }
        | Action::Unexpected(_) => false,
    })
}
