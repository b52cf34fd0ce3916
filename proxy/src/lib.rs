//! The data plane: a proxy beside a workload that speaks mTLS for it, verifies the SPIFFE
//! ID at the other end and enforces policy.
//!
//! A connection passes `TcpStream → Authenticated → Authorized → forward`; each step is
//! made of the one before. The control tasks (identity, model) run on the caller's
//! runtime; connections run on threads of their own (`worker.rs`).
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod accept;
mod admin;
mod admission;
mod body;
mod buffer;
mod clock;
mod cluster;
mod config;
mod flow;
mod forward;
mod headers;
mod http;
mod identity;
mod inbound;
mod latest;
mod listen;
mod listener;
mod metrics;
mod original;
mod outbound;
mod patience;
mod peeked;
mod peer;
mod pool;
mod port;
mod ports;
mod read_ahead;
mod reauthorize;
mod relay;
mod reload;
mod route;
mod sniff;
mod source;
#[cfg(test)]
mod testing;
mod trace;
mod worker;
mod workload_api;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use signet_daemon::{
    admin::AdminAddress,
    metrics::Registry,
    reload::Current,
    spans::{self, Export},
    tasks::Tasks,
};
use signet_identity::tls::SharedIdentity;
use signet_mesh::{Home, Side};
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::config::{
    AccessLogConfig, AccessLogFormat, Config, Connect, Forward, Inbound, LocalRateLimit, Outbound,
    PortProtocol, Protocol, RunFlags, Target, TracingConfig,
};
use self::{
    admission::Admission,
    cluster::SharedClusters,
    flow::{Connections, Telling, Tracers, Watching},
    metrics::{Metrics, Party},
    ports::SharedPorts,
    reauthorize::Sources,
    source::SharedStatus,
    trace::{Settings, Tracer},
    worker::Worker,
};

/// Runs the proxy until `shutdown`.
///
/// # Errors
/// What cannot be started, with its location or address and the remedy; or the task that ended by
/// itself.
pub async fn run(current: Current<Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Arc::clone(&current.borrow());
    // The admin endpoint can cancel it, too.
    let shutdown = shutdown.child_token();
    let (identities, identity, trust) = identity::Follower::new(&config.workload_api)?;
    let (admission, tokens) = admission::start(&config)?;
    let admission = Arc::new(admission);
    let registry = Registry::new();
    // Nobody could ask for what is known of calls, if there is no admin endpoint.
    let watching = config.admin.as_ref().map(|_| Watching {
        metrics: Arc::new(Metrics::new(&registry, &config.workload, identity.clone())),
        connections: Connections::default(),
    });
    let (telling, exports) = telling(&config, watching.as_ref(), &identity, &registry);
    let (models, model) = source::Follower::start(current.clone(), telling.clone())?;
    let status = models.status();
    let (follower, ports) = ports::Follower::start(current)?;
    let sources = Sources {
        identity,
        trust,
        model,
    };
    info!(
        inbound = config.inbound.len(),
        outbound = config.outbound.len(),
        threads = config.threads,
        "proxy started"
    );
    // The workers cut what is not finished in `drainTimeout`; they get a little more to do it.
    // So does what is known of them then, on its way to whoever collects it.
    let flush = config
        .tracing
        .as_ref()
        .map_or(CUT, |_| CUT.max(spans::FLUSH * 2));
    let mut tasks = Tasks::new(&shutdown, config.drain_timeout.saturating_add(flush));
    for export in exports {
        tasks.spawn_last(export.name(), |stop| export.run(stop));
    }
    tasks.spawn("identity", |stop| identities.run(stop));
    tasks.spawn("model", |stop| models.run(stop));
    tasks.spawn("ports", |stop| follower.run(stop));
    if let Some(tokens) = tokens {
        tasks.spawn("tokens", |stop| tokens.run(stop));
    }
    let workers = Workers {
        ports,
        clusters: SharedClusters::new(sources.model.clone(), home(&config)),
        sources,
        admission,
        drain: tasks.stop_token().child_token(),
        watching,
        telling,
    };
    let seen = workers.seen(registry, status, shutdown);
    let started = administer(config.admin.as_ref(), seen, &mut tasks)
        .and_then(|admin_port| workers.start(&config, admin_port, &mut tasks));
    let outcome = tasks.finish(started).await;
    info!("proxy stopped");
    outcome
}

/// What is told of connections and requests, and who sends spans to whoever collects them.
fn telling(
    config: &Config,
    watching: Option<&Watching>,
    identity: &SharedIdentity,
    registry: &Registry,
) -> (Telling, Vec<Export>) {
    let traced = config.tracing.as_ref().map(|tracing| {
        let (reporters, exports) = spans::open(&tracing.collectors, registry);
        let settings = Settings {
            sampling: tracing.sampling,
            propagators: tracing.propagators,
        };
        let tracer = |side| Tracer::new(side, settings, reporters.clone());
        let tracers = Tracers {
            client: tracer(Side::Client),
            server: tracer(Side::Server),
        };
        (tracers, exports)
    });
    let (tracers, exports) = traced.unzip();
    let metrics = watching.map(|it| Arc::clone(&it.metrics));
    let own = Party::own(&config.workload);
    let telling = Telling::new(&config.access_log, metrics, tracers, own, identity.clone());
    (telling, exports.unwrap_or_default())
}

/// Where the proxy runs.
fn home(config: &Config) -> Home {
    Home {
        locality: config.locality.clone(),
        labels: config.workload.labels.clone(),
    }
}

/// Opens the admin endpoint, if there is to be one; the port of loopback that it has.
fn administer(
    address: Option<&AdminAddress>,
    seen: admin::Seen,
    tasks: &mut Tasks,
) -> anyhow::Result<Option<u16>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = admin::open(address, seen)?;
    let port = match listener.address() {
        AdminAddress::Loopback(address) => Some(address.port()),
        AdminAddress::Socket(_) => None,
    };
    // It tells of those that drain, until they have.
    tasks.spawn_last("admin", |stop| listener.serve(stop));
    Ok(port)
}

/// What the threads that carry connections share.
#[derive(Debug)]
struct Workers {
    ports: SharedPorts,
    sources: Sources,
    admission: Arc<Admission>,
    clusters: SharedClusters,
    drain: CancellationToken,
    watching: Option<Watching>,
    telling: Telling,
}

impl Workers {
    /// What the admin endpoint tells of; `quit` is what it can cancel.
    fn seen(
        &self,
        metrics: Registry,
        status: SharedStatus,
        quit: CancellationToken,
    ) -> admin::Seen {
        let watching = self.watching.as_ref();
        admin::Seen {
            metrics,
            sources: self.sources.clone(),
            status,
            ports: self.ports.clone(),
            clusters: self.clusters.clone(),
            connections: watching.map_or_else(Connections::default, |it| it.connections.clone()),
            drain: self.drain.clone(),
            quit,
        }
    }

    /// Starts the threads that carry connections.
    fn start(
        &self,
        config: &Config,
        admin_port: Option<u16>,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        for number in 0..config.threads {
            let worker = Worker {
                number,
                ports: self.ports.clone(),
                sources: self.sources.clone(),
                admission: Arc::clone(&self.admission),
                clusters: self.clusters.clone(),
                max_connections: config.max_connections,
                drain_timeout: config.drain_timeout,
                drain: self.drain.clone(),
                watching: self.watching.clone(),
                telling: self.telling.clone(),
                admin_port,
            };
            tasks
                .spawn_thread(&format!("proxy-{number}"), move |stop| worker.run(&stop))
                .context("a thread for connections cannot be started")?;
        }
        Ok(())
    }
}

const CUT: Duration = Duration::from_secs(1);
