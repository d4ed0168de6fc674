//! Pure. Writes the page in OpenMetrics 1.0. There a bucket may have an exemplar: the trace of one of its observations.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::family::{Exemplar, Metric};
use super::page::PAGE;

/// Writes all families.
pub(super) fn page(families: &[MetricFamily]) -> String {
    let mut page = String::new();
    for family in families {
        write_family(&mut page, family);
    }
    page.push_str("# EOF\n");
    page
}

fn write_family(page: &mut String, family: &MetricFamily) {
    let (kind, suffix) = match family.get_field_type() {
        MetricType::COUNTER => ("counter", "_total"),
        MetricType::GAUGE => ("gauge", ""),
        MetricType::HISTOGRAM => ("histogram", ""),
        MetricType::SUMMARY | MetricType::UNTYPED => return, // we have none
    };
    // the name of a counter's family lacks the suffix of its samples
    let name = family.name().strip_suffix(suffix).unwrap_or(family.name());
    let declared = PAGE.iter().copied().find(|metric| metric.about().name == family.name());
    let _ = writeln!(page, "# TYPE {name} {kind}\n# HELP {name} {}", escaped(family.help()));
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match family.get_field_type() {
            MetricType::COUNTER => {
                sample(page, &format!("{name}_total"), labels, None, metric.get_counter().get_value());
                page.push('\n');
            }
            MetricType::GAUGE => {
                sample(page, name, labels, None, metric.get_gauge().get_value());
                page.push('\n');
            }
            _ => {
                let histogram = metric.get_histogram();
                let exemplars = declared.map(|metric| exemplars(metric, labels)).unwrap_or_default();
                let ends =
                    histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
                let all =
                    ends.filter(|(end, _)| end.is_finite()).chain([(f64::INFINITY, histogram.get_sample_count())]);
                for (place, (end, count)) in all.enumerate() {
                    sample(page, &format!("{name}_bucket"), labels, Some(end), whole(count));
                    if let Some(Some(Exemplar { trace, value, at })) = exemplars.get(place) {
                        let _ = write!(page, " # {{trace_id=\"{trace}\"}} {value} {at:.3}");
                    }
                    page.push('\n');
                }
                sample(page, &format!("{name}_count"), labels, None, whole(histogram.get_sample_count()));
                page.push('\n');
                sample(page, &format!("{name}_sum"), labels, None, histogram.get_sample_sum());
                page.push('\n');
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are figures of the page")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// The exemplars of one series. Its labels have another order in the family.
fn exemplars(metric: &dyn Metric, labels: &[LabelPair]) -> Vec<Option<Exemplar>> {
    let word = |name: &&str| labels.iter().find(|label| label.name() == *name).map_or("", LabelPair::value);
    metric.exemplars(&metric.about().labels.iter().map(word).collect::<Vec<_>>())
}

fn sample(page: &mut String, name: &str, labels: &[LabelPair], end: Option<f64>, value: f64) {
    page.push_str(name);
    let mut pairs: Vec<String> =
        labels.iter().map(|label| format!("{}=\"{}\"", label.name(), escaped(label.value()))).collect();
    if let Some(end) = end {
        let end = if end.is_infinite() { "+Inf".to_owned() } else { end.to_string() };
        pairs.push(format!("le=\"{end}\""));
    }
    if !pairs.is_empty() {
        let _ = write!(page, "{{{}}}", pairs.join(","));
    }
    let _ = write!(page, " {value}");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
