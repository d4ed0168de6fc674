//! The machine, pod or container that a process runs on.

/// Its name, for people; `unknown` where the system does not say.
#[must_use]
pub fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
