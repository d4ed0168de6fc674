//! Pure. The metrics as a table for people: `docs/metrics.md` is printed from it.

use std::fmt::Write as _;

use super::family::Metric;
use super::label::Component;
use super::page::PAGE;

const HEAD: &str = "# Metrics

Printed from `common/process/src/telemetry/metrics/page.rs`; a test fails when the two differ (`UPDATE=1` prints it anew). Each binary serves
its own on its ops port: `GET /metrics`, as Prometheus's text, or as OpenMetrics with exemplars (`trace_id`) where the scraper asks
for `application/openmetrics-text`. Every series stands at 0 from the start. No label ever holds a tenant, an account or a number:
for one tenant's figures ask the API. Beside these, on Linux, `process_*` tells of the process itself (CPU, memory, files, start).

Figures of the whole cluster (binary *scheduler*, from `measured_timestamp_seconds` on) are the same on each scheduler: read them
with `max`, never with `sum`, and distrust them when `time() - max(switchboard_measured_timestamp_seconds)` exceeds a minute.
What one binary counts (all the rest) is read with `sum`.

| metric | type | unit | labels | binaries | what it says |
| --- | --- | --- | --- | --- | --- |
";

/// The text of the file.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for metric in PAGE {
        let about = metric.about();
        let who: Vec<&str> = about.who.iter().map(|of| of.as_str()).collect();
        let who = if who.len() == Component::ALL.len() { "all".to_owned() } else { who.join(", ") };
        let name = about.name;
        let help = about.help.replace('|', "\\|");
        let _ =
            writeln!(text, "| `{name}` | {} | {} | {} | {who} | {help} |", metric.kind(), unit(name), labels(*metric));
    }
    let goals = "\nBuckets at 5 and 60 seconds exist where a goal needs them: `message_end_to_end_seconds`, \
                 `occurrence_lateness_seconds` (5), `webhook_delivery_seconds` (60).\n";
    text.push_str(goals);
    text
}

fn labels(metric: &dyn Metric) -> String {
    let sets = metric.about().labels.iter().zip(metric.sets()).map(|(name, words)| format!("`{name}`: {words}"));
    sets.collect::<Vec<_>>().join("; ")
}

/// The base unit, which is the end of the name.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    match name.rsplit('_').next() {
        Some("seconds") => "seconds",
        Some("bytes") => "bytes",
        _ => "",
    }
}
