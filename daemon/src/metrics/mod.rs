//! What a daemon counts, and how it is told to whoever scrapes: Prometheus and all that read
//! OpenMetrics.
//!
//! A [`Registry`] is made by the daemon and handed to whoever counts. What is looked up by labels
//! is a shard of a series, which whoever counts keeps: counting on it takes no lock and hashes
//! nothing, and threads do not share what they write to. A scrape adds the shards up.
//!
//! A metric has so many series and no more: what else is asked for is counted together under the
//! label `overflow`, and that it happened is counted, too.

mod family;
mod kinds;
mod labels;
mod samples;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::encoding::text;

pub use family::Family;
pub use kinds::{Buckets, Counter, Histogram, Metric};
pub use labels::Labels;
pub use samples::Sample;

use samples::{Gauges, Kind};

/// The metrics of a daemon. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Mutex<Shared>>,
    overflows: Family<Counter>,
    most: usize,
}

struct Shared {
    registry: prometheus_client::registry::Registry,
    before_scrape: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// No metrics yet but the one that counts what has too many series.
    pub fn new() -> Self {
        Self::with_most_series(MOST_SERIES)
    }

    /// One whose metrics have at most so many series each.
    pub fn with_most_series(most: usize) -> Self {
        let overflows = Family::new(OVERFLOWS, most, Counter::default, None);
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register(OVERFLOWS, OVERFLOWS_HELP, overflows.clone());
        Self {
            shared: Arc::new(Mutex::new(Shared {
                registry,
                before_scrape: Vec::new(),
            })),
            overflows,
            most,
        }
    }

    /// A metric that only grows. Its name has no `_total`, which is added for whoever scrapes.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Family<Counter> {
        self.family(name, help, Counter::default)
    }

    /// A metric of how values are spread over buckets.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: Buckets,
    ) -> Family<Histogram> {
        self.family(name, help, move || Histogram::new(buckets))
    }

    /// A metric that goes up and down: `read` says its samples at each scrape, from what is known
    /// already, without waiting.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        self.collect(Kind::Gauge, name, help, read);
    }

    /// A metric that only grows and is counted elsewhere: `read` says its samples at each scrape.
    /// Its name has no `_total`.
    pub fn counted(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        self.collect(Kind::Counter, name, help, read);
    }

    /// Calls `work` before each scrape, so that what is counted late can be counted until now. It
    /// must not register anything.
    pub fn before_scrape(&self, work: impl Fn() + Send + Sync + 'static) {
        self.lock().before_scrape.push(Arc::new(work));
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self) -> String {
        let works = self.lock().before_scrape.clone();
        works.iter().for_each(|work| work());
        let mut out = String::new();
        // Writing into a text cannot fail.
        let _ = text::encode(&mut out, &self.lock().registry);
        out
    }

    fn family<M: Metric>(
        &self,
        name: &'static str,
        help: &'static str,
        new: impl Fn() -> M + Send + Sync + 'static,
    ) -> Family<M> {
        let overflow = self.overflows.shard(&Labels::one("metric", name));
        let family = Family::new(name, self.most, new, Some(overflow));
        let help = help.trim_end_matches('.');
        self.lock().registry.register(name, help, family.clone());
        family
    }

    fn collect(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        let gauges = Gauges::new(kind, self.most, read);
        let help = help.trim_end_matches('.');
        self.lock().registry.register(name, help, gauges);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// What the text of [`Registry::text`] is to HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Series of one metric.
const MOST_SERIES: usize = 10_000;
const OVERFLOWS: &str = "signet_metrics_overflow";
const OVERFLOWS_HELP: &str =
    "Look-ups of a series that was not made, because its metric has as many as it may have";

#[cfg(test)]
mod tests;
