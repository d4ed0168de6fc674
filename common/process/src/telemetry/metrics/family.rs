//! A metric with its series: made with its first use, or when the binary that shows it starts.

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

/// What a metric is declared with.
#[derive(Debug)]
pub struct About {
    /// Which binaries show it.
    pub who: &'static [Component],
    /// Its whole name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The upper ends of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// A metric of the page.
pub trait Metric: Sync {
    /// What it was declared with.
    fn about(&self) -> &About;
    /// `counter`, `gauge` or `histogram`.
    fn kind(&self) -> &'static str;
    /// Puts every series of this binary onto the page, at 0.
    fn prepare(&self, of: Component);
    /// For the registry of a binary.
    fn collector(&self) -> Box<dyn Collector>;
    /// What each label may say, for the documentation.
    fn sets(&self) -> Vec<String>;
    /// The traces behind a series, by bucket; only a histogram has some.
    fn exemplars(&self, words: &[&str]) -> Vec<Option<Exemplar>> {
        let _ = words;
        Vec::new()
    }
    /// Moves each series of this binary, for tests.
    #[cfg(feature = "testing")]
    fn touch(&self, of: Component);
}

/// A value that only grows.
pub struct Counter<L = ()>(About, OnceLock<CounterVec>, PhantomData<fn(L)>);
/// A value that rises and falls.
pub struct Gauge<L = ()>(About, OnceLock<GaugeVec>, PhantomData<fn(L)>);
/// How values are spread, with a trace behind the newest of each bucket.
pub struct Histogram<L = ()>(About, OnceLock<HistogramVec>, Exemplars, PhantomData<fn(L)>);

type Exemplars = Mutex<Option<HashMap<Vec<&'static str>, Vec<Option<Exemplar>>>>>;

/// One observation and the trace that tells its story.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// The trace.
    pub trace: TraceId,
    /// What was observed.
    pub value: f64,
    /// When, in seconds of the epoch.
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

    /// One series.
    pub fn of(&self, labels: L) -> prometheus::Counter {
        self.all().with_label_values(&labels.words())
    }
}

impl Counter {
    /// Counts one.
    pub fn inc(&self) {
        self.of(()).inc();
    }

    /// Counts so many.
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

    /// One series.
    pub fn of(&self, labels: L) -> prometheus::Gauge {
        self.all().with_label_values(&labels.words())
    }
}

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: f64) {
        self.of(()).set(value);
    }

    /// It is so much more, or less.
    pub fn add(&self, value: f64) {
        self.of(()).add(value);
    }
}

/// One of those that a gauge counts, for as long as this lives.
#[must_use = "dropping it counts it off"]
pub struct OneMore(&'static Gauge);

impl OneMore {
    /// There is one more now.
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

    /// One series.
    pub fn of(&self, labels: L) -> Series<'_> {
        let words = labels.words();
        Series { histogram: self.all().with_label_values(&words), buckets: self.0.buckets, exemplars: &self.2, words }
    }
}

impl Histogram {
    /// Adds an observation; with no trace behind it.
    pub fn observe(&self, value: f64) {
        self.of(()).observe(value);
    }

    /// Adds an observation, with the trace of the current span behind it.
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
    /// Adds an observation; with no trace behind it.
    pub fn observe(&self, value: f64) {
        self.histogram.observe(value);
    }

    /// Adds an observation, with the trace of the current span behind it, if that is kept.
    pub fn observe_with_trace(&self, value: f64) {
        self.observe_of(value, current_trace());
    }

    /// Adds an observation, with this trace behind it.
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

/// The wall clock, in seconds of the epoch.
#[must_use]
pub fn epoch_seconds() -> f64 {
    (clock::now() - DateTime::UNIX_EPOCH).as_seconds_f64()
}

/// The trace of the current span, if it has one that is kept.
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
