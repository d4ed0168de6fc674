//! A metric and its series. A series is created at its first use, or when its binary starts.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Mutex, OnceLock, PoisonError};

use chrono::DateTime;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use prometheus::core::Collector;
use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::label::{Component, Labels};
use crate::clock;

/// The declaration of a metric.
#[derive(Debug)]
pub struct About {
    /// The binaries that show it.
    pub who: &'static [Component],
    /// Its full name.
    pub name: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// A metric of the page.
pub trait Metric: Sync {
    /// Its declaration.
    fn about(&self) -> &About;
    /// `counter`, `gauge` or `histogram`.
    fn kind(&self) -> &'static str;
    /// Puts every series of this binary onto the page, at 0.
    fn prepare(&self, of: Component);
    /// The collector for the registry of a binary.
    fn collector(&self) -> Box<dyn Collector>;
    /// The possible values of each label, for the documentation.
    fn sets(&self) -> Vec<String>;
    /// The exemplars of a series, by bucket. Only a histogram has any.
    fn exemplars(&self, words: &[&str]) -> Vec<Option<Exemplar>> {
        let _ = words;
        Vec::new()
    }
    /// Changes each series of this binary, for tests.
    #[cfg(feature = "testing")]
    fn touch(&self, of: Component);
}

/// A value that only grows.
pub struct Counter<L = ()>(About, OnceLock<CounterVec>, PhantomData<fn(L)>);
/// A value that rises and falls.
pub struct Gauge<L = ()>(About, OnceLock<GaugeVec>, PhantomData<fn(L)>);
/// A distribution of values, with an exemplar for the newest one of each bucket.
pub struct Histogram<L = ()>(About, OnceLock<HistogramVec>, Exemplars, PhantomData<fn(L)>);

type Exemplars = Mutex<Option<HashMap<Vec<&'static str>, Vec<Option<Exemplar>>>>>;

/// One observation and its trace.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// The trace.
    pub trace: TraceId,
    /// The observed value.
    pub value: f64,
    /// When it was observed, in seconds since the Unix epoch.
    pub at: f64,
}

impl<L: Labels> Counter<L> {
    pub(super) const fn new(about: About) -> Self {
        Self(about, OnceLock::new(), PhantomData)
    }

    #[expect(clippy::expect_used, reason = "names and labels are constants of the page; a test touches each")]
    fn all(&self) -> &CounterVec {
        let opts = || Opts::new(self.0.name, self.0.help);
        self.1.get_or_init(|| CounterVec::new(opts(), self.0.labels).expect("a valid metric"))
    }

    /// The series with these labels.
    pub fn of(&self, labels: L) -> prometheus::Counter {
        self.all().with_label_values(&labels.words())
    }
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.of(()).inc();
    }

    /// Adds this much.
    pub fn inc_by(&self, by: f64) {
        self.of(()).inc_by(by);
    }
}

impl<L: Labels> Gauge<L> {
    pub(super) const fn new(about: About) -> Self {
        Self(about, OnceLock::new(), PhantomData)
    }

    #[expect(clippy::expect_used, reason = "names and labels are constants of the page; a test touches each")]
    fn all(&self) -> &GaugeVec {
        let opts = || Opts::new(self.0.name, self.0.help);
        self.1.get_or_init(|| GaugeVec::new(opts(), self.0.labels).expect("a valid metric"))
    }

    /// The series with these labels.
    pub fn of(&self, labels: L) -> prometheus::Gauge {
        self.all().with_label_values(&labels.words())
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.of(()).set(value);
    }

    /// Adds this much, or subtracts it if negative.
    pub fn add(&self, value: f64) {
        self.of(()).add(value);
    }
}

/// Adds one to a gauge for as long as this lives.
#[must_use = "dropping it counts it off"]
pub struct OneMore(&'static Gauge);

impl OneMore {
    /// Adds one to the gauge.
    pub fn of(of: &'static Gauge) -> Self {
        of.add(1.0);
        Self(of)
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

impl<L: Labels> Histogram<L> {
    pub(super) const fn new(about: About) -> Self {
        Self(about, OnceLock::new(), Mutex::new(None), PhantomData)
    }

    #[expect(clippy::expect_used, reason = "names, labels and buckets are constants of the page; a test touches each")]
    fn all(&self) -> &HistogramVec {
        let opts = || HistogramOpts::new(self.0.name, self.0.help).buckets(self.0.buckets.to_vec());
        self.1.get_or_init(|| HistogramVec::new(opts(), self.0.labels).expect("a valid metric"))
    }

    /// The series with these labels.
    pub fn of(&self, labels: L) -> Series<'_> {
        let words = labels.words();
        Series { histogram: self.all().with_label_values(&words), buckets: self.0.buckets, exemplars: &self.2, words }
    }
}

impl Histogram {
    /// Adds an observation without a trace.
    pub fn observe(&self, value: f64) {
        self.of(()).observe(value);
    }

    /// Adds an observation, with the trace of the current span if it is sampled.
    pub fn observe_with_trace(&self, value: f64) {
        self.of(()).observe_with_trace(value);
    }
}

/// One series of a histogram.
pub struct Series<'a> {
    histogram: prometheus::Histogram,
    buckets: &'static [f64],
    exemplars: &'a Exemplars,
    words: Vec<&'static str>,
}

impl Series<'_> {
    /// Adds an observation without a trace.
    pub fn observe(&self, value: f64) {
        self.histogram.observe(value);
    }

    /// Adds an observation, with the trace of the current span if it is sampled.
    pub fn observe_with_trace(&self, value: f64) {
        self.observe_of(value, current_trace());
    }

    /// Adds an observation with this trace.
    pub fn observe_of(&self, value: f64, trace: Option<TraceId>) {
        self.histogram.observe(value);
        let Some(trace) = trace else { return };
        let at = epoch_seconds();
        let bucket = self.buckets.iter().take_while(|end| **end < value).count();
        let mut all = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.get_or_insert_default().entry(self.words.clone());
        series.or_insert_with(|| vec![None; self.buckets.len() + 1])[bucket] = Some(Exemplar { trace, value, at });
    }
}

/// The wall clock, in seconds since the Unix epoch.
#[must_use]
pub fn epoch_seconds() -> f64 {
    (clock::now() - DateTime::UNIX_EPOCH).as_seconds_f64()
}

/// The trace of the current span, if it is sampled.
#[must_use]
pub fn current_trace() -> Option<TraceId> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span = span.span_context();
    (span.is_valid() && span.is_sampled()).then(|| span.trace_id())
}

macro_rules! metric {
    ($family:ident, $kind:literal, $move:expr $(, $exemplars:item)?) => {
        impl<L: Labels> Metric for $family<L> {
            fn about(&self) -> &About {
                &self.0
            }

            fn kind(&self) -> &'static str {
                $kind
            }

            fn prepare(&self, of: Component) {
                for labels in L::all(of) {
                    let _ = self.of(labels);
                }
            }

            fn collector(&self) -> Box<dyn Collector> {
                Box::new(self.all().clone())
            }

            fn sets(&self) -> Vec<String> {
                L::sets()
            }

            $($exemplars)?

            #[cfg(feature = "testing")]
            fn touch(&self, of: Component) {
                L::all(of).into_iter().for_each(|labels| $move(self.of(labels)));
            }
        }
    };
}
metric!(Counter, "counter", |series: prometheus::Counter| series.inc());
metric!(Gauge, "gauge", |series: prometheus::Gauge| series.add(1.0));
metric!(
    Histogram,
    "histogram",
    |series: Series<'_>| series.observe(1.0),
    fn exemplars(&self, words: &[&str]) -> Vec<Option<Exemplar>> {
        let all = self.2.lock().unwrap_or_else(PoisonError::into_inner);
        all.as_ref().and_then(|all| all.get(words)).cloned().unwrap_or_default()
    }
);
