//! The rules of the trust window, by name.

use std::time::Duration;

use process::clock::BootTime;
use worker::fleet::trust::Trust;

const TTL: Duration = Duration::from_secs(15);

fn at(seconds: u64) -> BootTime {
    BootTime::at(Duration::from_secs(seconds))
}

/// R02: no worker acts before the first renewal.
#[test]
fn no_trust_before_the_first_renewal() {
    assert!(!Trust::new(TTL).holds(at(1)));
}

/// R02: trust lasts two thirds of the lease's life, from the renewal's start.
#[test]
fn trust_ends_after_two_thirds_of_the_lease() {
    let trust = Trust::new(TTL);
    trust.renewed(at(100));
    assert!(trust.holds(at(109)));
    assert!(!trust.holds(at(110)));
    assert_eq!(trust.left(at(104)), Some(Duration::from_secs(6)));
}

/// R02: a slow renewal counts from its request, not from its answer.
#[test]
fn slow_renewal_does_not_extend_the_trust_window() {
    let trust = Trust::new(TTL);
    trust.renewed(at(100)); // answered at 108
    assert!(!trust.holds(at(111)));
}

/// R02: answers in the wrong order never shorten trust.
#[test]
fn an_older_renewal_never_takes_trust_back() {
    let trust = Trust::new(TTL);
    trust.renewed(at(105));
    trust.renewed(at(100));
    assert!(trust.holds(at(114)));
}
