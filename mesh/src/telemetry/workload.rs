//! What one workload tells.

use std::sync::Arc;

use super::{
    access_log::{self, AccessLog},
    document::Telemetry,
    metrics::{self, Metrics},
    side::Side,
    tracing::{self, Tracing},
};
use crate::object::{Level, ObjectRef};

/// What one workload tells of the calls that it makes and takes. Where there is nothing, no
/// document says anything, and it is as the proxy is configured.
#[derive(Debug, Clone, Default)]
pub struct WorkloadTelemetry {
    client: Told,
    server: Told,
    documents: Vec<Arc<ObjectRef>>,
}

/// What is told on one side.
#[derive(Debug, Clone, Default)]
struct Told {
    access_log: Option<Vec<AccessLog>>,
    metrics: Option<Vec<Metrics>>,
    tracing: Option<Tracing>,
}

impl WorkloadTelemetry {
    /// `levels` come from the nearest to that of the whole mesh.
    pub(super) fn new(levels: &[&Arc<Level<Telemetry>>]) -> Self {
        Self {
            client: Told::new(Side::Client, levels),
            server: Told::new(Side::Server, levels),
            documents: levels.iter().map(|it| Arc::clone(&it.object)).collect(),
        }
    }

    /// Where lines of the access log go; to nobody if the list is empty.
    pub fn access_log(&self, side: Side) -> Option<&[AccessLog]> {
        self.told(side).access_log.as_deref()
    }

    /// The metrics, for each provider.
    pub fn metrics(&self, side: Side) -> Option<&[Metrics]> {
        self.told(side).metrics.as_deref()
    }

    /// How calls are traced.
    pub fn tracing(&self, side: Side) -> Option<&Tracing> {
        self.told(side).tracing.as_ref()
    }

    /// The documents that all this is from, the nearest first.
    pub fn documents(&self) -> impl Iterator<Item = &ObjectRef> {
        self.documents.iter().map(|document| &**document)
    }

    fn told(&self, side: Side) -> &Told {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl Told {
    fn new(side: Side, levels: &[&Arc<Level<Telemetry>>]) -> Self {
        let specs = || levels.iter().map(|level| &level.value);
        let metrics: Vec<_> = specs().map(|it| &*it.metrics).collect();
        let tracing: Vec<_> = specs().map(|it| &*it.tracing).collect();
        Self {
            access_log: access_log::merge(side, specs().map(|it| &*it.access_logging)),
            metrics: metrics::merge(side, &metrics),
            tracing: tracing::merge(side, &tracing),
        }
    }
}
