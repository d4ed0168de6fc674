//! Pure. Checks whether a device ever had two owners, and which overlaps of its sockets have an excuse.

use crate::evidence::{Evidence, Overlap, Socket, Verdict};
use crate::journal::{Entry, What, is_of};

/// How long the effects of a fault last after its end: bytes that were written into a silent line are passed on later.
const AFTERMATH_US: u64 = 3_000_000;
/// How long a strike takes at most.
const STRIKE_US: u64 = 1_000_000;
/// The longest overlap of two sockets of one boot. A boot may reconnect before WhatsApp notices the end of its earlier
/// socket.
const RECONNECT_US: u64 = 5_000_000;

/// Counts two simultaneous sockets of one device as a double owner, unless there is an excuse.
pub(crate) fn owners(evidence: &Evidence, verdict: &mut Verdict) {
    for stolen in &evidence.stolen {
        verdict.double_owner += 1;
        verdict.details.push(format!("double owner: {stolen}"));
    }
    for device in &evidence.devices {
        let socket = |id: u64| device.sockets.iter().find(|socket| socket.socket_id == id);
        for overlap in &device.overlaps {
            let (first, second) = (socket(overlap.first_socket_id), socket(overlap.second_socket_id));
            let words = format!(
                "{}:{} by {} and {} for {:.1} ms, ended by {}",
                device.number,
                device.device,
                boot(first).unwrap_or("somebody"),
                boot(second).unwrap_or("somebody"),
                overlap.lasted_us as f64 / 1_000.0,
                overlap.ended_by.as_deref().unwrap_or("nobody")
            );
            match excuse(&evidence.journal, &device.number, (first, second), overlap) {
                Some(why) => verdict.excused.push((overlap.lasted_us, format!("{words} ({why})"))),
                None => {
                    verdict.double_owner += 1;
                    verdict.details.push(format!("double owner: {words}"));
                }
            }
        }
    }
}

/// The boot that opened a socket, if it is known.
fn boot(socket: Option<&Socket>) -> Option<&str> {
    socket?.via.as_deref()
}

/// The reason why the second socket could log in while the first was open for WhatsApp: the first was given up, but
/// WhatsApp could not know.
fn excuse(
    journal: &[Entry],
    number: &str,
    (first, second): (Option<&Socket>, Option<&Socket>),
    overlap: &Overlap,
) -> Option<&'static str> {
    let first_boot = boot(first);
    if first_boot.is_some() && first_boot == boot(second) && overlap.lasted_us <= RECONNECT_US {
        return Some("one owner reconnected");
    }
    let opened_us = first?.login_ok_at_us;
    journal.iter().find_map(|entry| {
        let covers =
            entry.from_us <= overlap.began_at_us && overlap.began_at_us <= entry.until_us.saturating_add(AFTERMATH_US);
        // a fault does not affect a socket that was opened after it
        let excused = |was_there_us: u64| covers && opened_us <= was_there_us;
        match &entry.what {
            What::Frozen(boot) if first_boot == Some(boot) && excused(entry.until_us) => {
                Some("the first owner was frozen")
            }
            What::Silent(part) if first_boot.is_some_and(|boot| is_of(boot, part)) && excused(entry.until_us) => {
                Some("the first owner's line was silent")
            }
            What::Silenced(whose) if whose == number && excused(entry.from_us.saturating_add(STRIKE_US)) => {
                Some("WhatsApp did not read")
            }
            _ => None,
        }
    })
}
