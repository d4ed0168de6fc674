//! The metrics page of a binary. It shows every series of the binary from the start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus::{Encoder as _, Registry, TextEncoder};

use super::label::Component;
use super::label::Labels as _;
use super::labels::Build;
use super::page::{BUILD_INFO, PAGE};
use super::{openmetrics, sample};

/// The format of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text, version 0.0.4.
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

type Hooks = Vec<(u64, Component, Box<dyn Fn() + Send>)>;
static HOOKS: LazyLock<Mutex<Hooks>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A function that is called when the page is read, for as long as this lives.
#[must_use = "dropping it ends the looking"]
pub struct Hook(u64);

/// Calls a function whenever the page of `of` is read. It must be quick and do no I/O.
pub fn at_scrape(of: Component, look: impl Fn() + Send + 'static) -> Hook {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    hooks().push((id, of, Box::new(look)));
    Hook(id)
}

impl Drop for Hook {
    fn drop(&mut self) {
        hooks().retain(|(id, ..)| *id != self.0);
    }
}

fn hooks() -> MutexGuard<'static, Hooks> {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts every series of this binary onto its page, at 0. Call it after the routes or duties have been declared.
pub fn start(of: Component) {
    registry(of);
}

fn registry(of: Component) -> &'static Registry {
    static REGISTRIES: [OnceLock<Registry>; 3] = [const { OnceLock::new() }; 3];
    REGISTRIES[of as usize].get_or_init(|| {
        let registry = Registry::new();
        #[cfg(target_os = "linux")]
        register(&registry, Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        for metric in PAGE.iter().filter(|metric| metric.about().who.contains(&of)) {
            metric.prepare(of);
            register(&registry, metric.collector());
        }
        for build in Build::all(of) {
            BUILD_INFO.of(build).set(1.0);
        }
        registry
    })
}

fn register(registry: &Registry, collector: Box<dyn prometheus::core::Collector>) {
    if let Err(error) = registry.register(collector) {
        tracing::error!(%error, "a metric is declared twice");
    }
}

/// Renders the page of a binary.
#[must_use]
pub fn render(of: Component, format: Format) -> String {
    sample::look(of);
    hooks().iter().filter(|(_, whose, _)| *whose == of).for_each(|(_, _, look)| look());
    let families = registry(of).gather();
    match format {
        Format::OpenMetrics => openmetrics::page(&families),
        Format::Text => {
            let mut page = Vec::new();
            if let Err(error) = TextEncoder::new().encode(&families, &mut page) {
                tracing::error!(%error, "metrics could not be encoded");
            }
            String::from_utf8_lossy(&page).into_owned()
        }
    }
}
