//! The machine, pod or container that a process runs on.

/// The name of a host that does not say its own.
pub const UNKNOWN: &str = "unknown";

/// The name of the host, for people; [`UNKNOWN`] if the system does not say.
#[must_use]
pub fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| UNKNOWN.to_owned(), |name| name.trim().to_owned())
}
