//! What targets make of their run.

use domain::run::{Status, Tally, TargetState, target_state};

use TargetState::{Failed, Pending, Sent, Skipped};

/// R45: `success`, `partial` or `failed`; unfinished while a target is pending.
#[test]
fn a_run_is_what_its_targets_make_of_it() {
    let table: [(&[TargetState], Status, &str); 9] = [
        (&[], Status::Failed, "0 of 0 sent"),
        (&[Sent], Status::Success, "1 of 1 sent"),
        (&[Sent, Sent], Status::Success, "2 of 2 sent"),
        (&[Sent, Failed], Status::Partial, "1 of 2 sent, 1 failed"),
        (&[Sent, Skipped], Status::Partial, "1 of 2 sent, 1 skipped"),
        (&[Failed, Failed], Status::Failed, "0 of 2 sent, 2 failed"),
        (&[Skipped], Status::Failed, "0 of 1 sent, 1 skipped"),
        (&[Sent, Pending], Status::Running, "1 of 2 sent, 1 pending"),
        (&[Failed, Pending], Status::Running, "0 of 2 sent, 1 failed, 1 pending"),
    ];
    for (targets, status, summary) in table {
        let tally = Tally::of(targets.iter().copied());
        assert_eq!(tally.status(), status, "{targets:?}");
        assert_eq!(tally.summary(), summary, "{targets:?}");
    }
}

/// R46: a closed window pauses a run of which something was delivered, and fails one of which nothing was.
#[test]
fn a_closed_window_pauses_or_fails() {
    for (targets, status) in [
        (vec![Sent, Pending], Status::Paused),
        (vec![Pending, Pending], Status::Failed),
        (vec![Failed, Pending], Status::Failed),
        (vec![Sent, Sent], Status::Success),
    ] {
        assert_eq!(Tally::of(targets.clone()).status_when_window_closes(false), status, "{targets:?}");
    }
    assert_eq!(
        Tally::of([Pending]).status_when_window_closes(true),
        Status::Paused,
        "one text of several was delivered"
    );
}

/// R45: a target is sent when every one of its texts is.
#[test]
fn a_target_is_what_its_messages_make_of_it() {
    assert_eq!(target_state(1, 1, 1), Pending);
    assert_eq!(target_state(0, 2, 0), Sent);
    assert_eq!(target_state(0, 1, 1), Failed);
    assert_eq!(target_state(0, 0, 0), Skipped);
}

#[test]
fn finished_means_that_nothing_more_happens() {
    for (status, finished) in [
        (Status::Pending, false),
        (Status::Running, false),
        (Status::Paused, false),
        (Status::Success, true),
        (Status::Partial, true),
        (Status::Failed, true),
        (Status::Canceled, true),
        (Status::Missed, true),
    ] {
        assert_eq!(status.finished(), finished, "{status}");
    }
}
