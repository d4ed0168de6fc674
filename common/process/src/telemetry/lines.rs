//! Log lines. Lines of other crates are limited to warnings and errors, whatever `RUST_LOG` says, and every long number
//! in them is masked. At lower levels some crates log the recipient, the QR code or the pairing code.

use std::fmt;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Our own crates, by the first segment of a line's target.
pub const OURS: [&str; 13] = [
    "api",
    "bells",
    "domain",
    "posting",
    "process",
    "schedule",
    "scheduler",
    "simulator",
    "store",
    "switchboard_api",
    "switchboard_scheduler",
    "switchboard_worker",
    "worker",
];
/// This many digits in a row may be a phone number, or a part of an address.
const NUMBER: usize = 7;

fn is_ours(target: &str) -> bool {
    OURS.contains(&target.split("::").next().unwrap_or_default())
}

/// Whether a line may be written, whatever the filter says.
pub(super) fn is_allowed(of: &Metadata<'_>) -> bool {
    is_ours(of.target()) || *of.level() <= Level::WARN
}

/// The layer that writes log lines, as `text` or `json`.
pub(super) fn layer<S, W>(format: &str, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    if format == "json" {
        lines.json().flatten_event(true).map_event_format(|format| Masked(format, "0")).boxed()
    } else {
        lines.compact().with_ansi(ansi).map_event_format(|format| Masked(format, "…")).boxed()
    }
}

/// Replaces long numbers in the lines of other crates by a mask, which for JSON is a number as well.
struct Masked<F>(F, &'static str);

impl<S, N, F> FormatEvent<S, N> for Masked<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if is_ours(event.metadata().target()) {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&masked(&line, self.1))
    }
}

/// Replaces everything in the line that may be a phone number.
fn masked(line: &str, mask: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut digits = String::new();
    for letter in line.chars().chain([' ']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        out.push_str(if digits.len() < NUMBER { &digits } else { mask });
        digits.clear();
        out.push(letter);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R99: only our own crates count as ours.
    #[test]
    fn others_are_told_from_ours() {
        for (target, ours) in [
            ("worker", true),
            ("worker::session::actor", true),
            ("store", true),
            ("worker_pool", false),
            ("library::client", false),
            ("Client/Keepalive", false),
            ("log", false),
            ("", false),
        ] {
            assert_eq!(is_ours(target), ours, "{target}");
        }
    }

    /// R99: a number is masked wherever it occurs; times and small figures stay.
    #[test]
    fn numbers_are_masked() {
        for (line, shown) in [
            ("to 4917012345678@s.whatsapp.net failed", "to …@s.whatsapp.net failed"),
            ("4917012345678", "…"),
            (
                "2026-11-28T06:25:03.945513Z WARN code=503 after 120 s",
                "2026-11-28T06:25:03.945513Z WARN code=503 after 120 s",
            ),
            ("123456 1234567", "123456 …"),
            ("", ""),
        ] {
            assert_eq!(masked(line, "…"), shown);
        }
    }
}
