//! What is to be told of connections and requests, and by whom: as the proxy is configured, and as
//! the documents of the mesh say.

use std::{net::SocketAddr, sync::Arc};

use signet_identity::tls::SharedIdentity;
use signet_mesh::{Side, WorkloadTelemetry};
use tracing::warn;

use super::access::AccessRules;
use crate::{
    config::{AccessLogConfig, AccessLogFormat},
    metrics::{Metrics, Party},
    trace::Tracer,
};

/// What is to be told, for all threads. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Telling(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    format: AccessLogFormat,
    client: OfSide,
    server: OfSide,
    metrics: Option<Arc<Metrics>>,
    /// Whom the proxy stands for, and who it is.
    own: Party,
    identity: SharedIdentity,
}

/// What one side tells.
#[derive(Debug)]
struct OfSide {
    access: AccessRules,
    tracer: Option<Tracer>,
}

/// Who records the connections and requests of a port, on one thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The port's name.
    pub(crate) name: Arc<str>,
    pub(super) side: Side,
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// Whether more of a request is kept than the log's own lines say.
    pub(super) hears: bool,
    telling: Telling,
}

/// Who traces each side.
#[derive(Debug)]
pub(crate) struct Tracers {
    pub(crate) client: Tracer,
    pub(crate) server: Tracer,
}

impl Telling {
    /// By this proxy; without metrics or tracers there are none.
    pub(crate) fn new(
        access: &AccessLogConfig,
        metrics: Option<Arc<Metrics>>,
        tracers: Option<Tracers>,
        own: Party,
        identity: SharedIdentity,
    ) -> Self {
        let (client, server) = match tracers {
            None => (None, None),
            Some(Tracers { client, server }) => (Some(client), Some(server)),
        };
        let of = |tracer| OfSide {
            access: AccessRules::new(access.sampling),
            tracer,
        };
        Self(Arc::new(Inner {
            format: access.format,
            client: of(client),
            server: of(server),
            metrics,
            own,
            identity,
        }))
    }

    /// Tells what a new model says from now on.
    pub(crate) fn follow(&self, telemetry: &WorkloadTelemetry) {
        if let Some(metrics) = &self.0.metrics {
            metrics.follow(telemetry);
        }
        let mut missing = Vec::new();
        for side in [Side::Client, Side::Server] {
            let of_side = self.of(side);
            of_side.access.follow(telemetry.access_log(side));
            match (&of_side.tracer, telemetry.tracing(side)) {
                (Some(tracer), _) => missing.extend(tracer.follow(telemetry)),
                (None, Some(_)) => missing.push("any".to_owned()),
                (None, None) => {}
            }
        }
        if let Some(provider) = missing.first() {
            warn!(
                provider,
                "a Telemetry asks for traces, and no spans are sent: the proxy's configuration \
                 has no such collector; write it below `tracing`, or nothing is traced here"
            );
        }
    }

    fn of(&self, side: Side) -> &OfSide {
        match side {
            Side::Client => &self.0.client,
            Side::Server => &self.0.server,
        }
    }
}

impl Recorder {
    /// That of a port of this name, which listens there.
    pub(crate) fn new(name: &str, side: Side, listen: SocketAddr, telling: &Telling) -> Self {
        Self {
            name: name.into(),
            side,
            listen,
            hears: telling.of(side).tracer.is_some() || telling.0.format != AccessLogFormat::Signet,
            telling: telling.clone(),
        }
    }

    /// Who traces its requests, if anybody does.
    pub(super) fn tracer(&self) -> Option<&Tracer> {
        self.telling.of(self.side).tracer.as_ref()
    }

    /// The form of its lines.
    pub(super) fn format(&self) -> AccessLogFormat {
        self.telling.0.format
    }

    /// Which of them there are.
    pub(super) fn access(&self) -> &AccessRules {
        &self.telling.of(self.side).access
    }

    /// The workload that the proxy stands for.
    pub(super) fn own(&self) -> &Party {
        &self.telling.0.own
    }

    /// The proxy's SPIFFE ID, if it has one now.
    pub(super) fn own_id(&self) -> Option<String> {
        let identity = self.telling.0.identity.borrow();
        identity.as_ref().map(|it| it.id().to_string())
    }

    /// The name of the workload's service for whoever collects spans: as its labels say, or the
    /// path of its SPIFFE ID, or OpenTelemetry's word for none.
    pub(super) fn service(&self) -> Arc<str> {
        if let Some(name) = self.own().canonical_service() {
            return name.into();
        }
        let identity = self.telling.0.identity.borrow();
        let path = identity.as_ref().map(|it| it.id().path());
        let path = path.map(|path| path.trim_start_matches('/'));
        path.filter(|it| !it.is_empty())
            .unwrap_or("unknown_service")
            .into()
    }
}
