//! Which events become lines.

use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{Layer, layer::Context};

use super::{Level, names::Form, spire};

/// What is below it is not logged.
#[derive(Debug)]
pub(super) struct Threshold {
    pub(super) level: Level,
    form: Form,
}

impl Threshold {
    pub(super) fn new(level: Level, form: Form) -> Self {
        Self { level, form }
    }

    /// Our own events at the level that was asked for. Those of libraries tell about frames and
    /// polls; they are one level quieter from INFO on.
    fn limits(&self) -> (LevelFilter, LevelFilter) {
        match self.level {
            Level::Panic | Level::Fatal | Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
            Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
            Level::Info => (LevelFilter::INFO, LevelFilter::WARN),
            Level::Debug => (LevelFilter::DEBUG, LevelFilter::INFO),
            Level::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
        }
    }

    fn passes(&self, metadata: &Metadata<'_>) -> bool {
        let (ours, libraries) = self.limits();
        if !metadata.target().starts_with("signet") {
            return *metadata.level() <= libraries;
        }
        if !self.form.is_of_spire() {
            return *metadata.level() <= ours && !spire::alone(metadata.name());
        }
        // Scripts that wait for a line of SPIRE's run at the level at which SPIRE writes it.
        let event = spire::find(metadata.name());
        let own = *metadata.level();
        metadata.is_span() || event.map_or(own, |event| event.level) <= ours
    }
}

impl<S: Subscriber> Layer<S> for Threshold {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.passes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.passes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let (ours, _) = self.limits();
        // SPIRE says some things louder than we do.
        Some(if self.form.is_of_spire() {
            ours.max(LevelFilter::DEBUG)
        } else {
            ours
        })
    }
}
