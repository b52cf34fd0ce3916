//! Istio's `Telemetry` (`telemetry.istio.io`): what a workload tells of the calls that it makes and
//! takes.
//!
//! A document that selects a workload goes before that of its namespace, and this before that of
//! the root namespace, section by section:
//!
//! - `accessLogging` replaces what is inherited, for each side of which it speaks. An item without
//!   providers means the one that the proxy is configured for; if it is disabled, it means all.
//! - `metrics` is added to what is inherited: overrides of the nearer document come later, and the
//!   later one counts. Providers that the nearer document names replace those above it.
//! - `tracing` is inherited field by field; `customTags` are one field.
//!
//! Two documents of the same scope are refused; Istio takes the older. Providers are names here.
//! Of Istio's expressions constants are read, and for the access log what [`LogFilter`] says.

mod access_log;
mod custom_tag;
mod document;
mod filter;
mod metric;
mod metrics;
mod provider;
mod side;
mod tag;
mod tracing;
mod workload;

pub use access_log::AccessLog;
pub use custom_tag::CustomTag;
pub use filter::LogFilter;
pub use metric::Metric;
pub use metrics::Metrics;
pub use side::Side;
pub use tag::TagOverride;
pub use tracing::Tracing;
pub use workload::WorkloadTelemetry;

use crate::{
    object::{Change, Hierarchy, Inherited, Level, ObjectRef, Workload},
    problem::Problems,
};
pub(crate) use document::{Telemetry, read};

/// Every `Telemetry`, compiled.
#[derive(Debug, Clone, Default)]
pub struct Telemetries(Hierarchy<Telemetry>);

/// A part of a document that proxies do not carry yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotCarried<'t> {
    pub(crate) object: &'t ObjectRef,
    /// The field.
    pub(crate) key: &'static str,
}

impl Inherited for Telemetry {
    const NOUN: &'static str = "Telemetry";
}

impl Telemetries {
    /// Takes away what goes, and adds what comes.
    pub(crate) fn change(
        &mut self,
        change: &mut Change<Level<Telemetry>>,
        problems: &mut Problems,
    ) {
        self.0.change(change, problems);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What of them is read, but not carried by proxies yet, sorted by name.
    pub(crate) fn not_carried(&self) -> impl Iterator<Item = NotCarried<'_>> {
        self.0.iter().flat_map(|level| {
            let keys = level.value.not_carried().into_iter().flatten();
            keys.map(|key| NotCarried {
                object: &level.object,
                key,
            })
        })
    }

    /// What a workload tells. What stands in the root namespace and selects none is for the whole
    /// mesh.
    pub fn for_workload(&self, workload: &Workload, root_namespace: &str) -> WorkloadTelemetry {
        WorkloadTelemetry::new(&self.0.above(workload, root_namespace))
    }
}

#[cfg(test)]
mod tests;
