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
mod dns;
mod flow;
mod forward;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod hand_over;
mod headers;
mod http;
mod identity;
mod inbound;
mod latest;
mod layered;
mod listen;
mod listener;
mod metrics;
mod original;
mod outbound;
mod outside;
mod overload;
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
    run::GRACE,
    socket::{Handed, Inheritance},
    spans::{self, Export},
    tasks::Tasks,
};
use signet_identity::tls::SharedIdentity;
use signet_mesh::{Home, Side};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::config::{
    AccessLogConfig, AccessLogFormat, Config, Connect, Dns, ExtensionProvider, Forward, Inbound,
    InterceptionMode, LocalRateLimit, Outbound, OutboundTrafficPolicy, OverloadLimits,
    PortProtocol, Protocol, RunFlags, Target, TracingConfig,
};
use self::{
    admission::Admission,
    cluster::SharedClusters,
    dns::Names,
    flow::{Connections, Telling, Tracers, Watching},
    hand_over::{Giver, Offer},
    metrics::{Metrics, Party},
    overload::Overload,
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
    // The admin endpoint can cancel it, too, and who hands the ports over.
    let shutdown = shutdown.child_token();
    let (identities, identity, trust) = identity::Follower::new(&config.workload_api)?;
    let overload = Arc::new(Overload::new(config.overload).context("overload.maxMemory")?);
    let (admission, keys) = admission::start(&config)?;
    let registry = Registry::new();
    // Nobody could ask for what is known of calls, if there is no admin endpoint.
    let watching = config.admin.as_ref().map(|_| Watching {
        metrics: Arc::new(Metrics::new(&registry, &config.workload, identity.clone())),
        connections: Connections::default(),
    });
    let (telling, exports) = telling(&config, watching.as_ref(), &identity, &registry);
    let (models, model) = source::Follower::start(current.clone(), telling.clone())?;
    let (status, outside) = (models.status(), models.outside());
    let sources = Sources {
        identity,
        trust,
        model: model.clone(),
    };
    let names = Names::new(&config.dns);
    let clusters =
        SharedClusters::new(sources.model.clone(), outside, home(&config), names.clone())
            .checking(sources.clone());
    let drain = config.drain_timeout.saturating_add(after_drain(&config));
    let mut tasks = Tasks::new(&shutdown, drain);
    for export in exports {
        tasks.spawn_last(export.name(), |stop| export.run(stop));
    }
    let start = Start {
        status,
        registry,
        clusters,
        sources,
        admission: Arc::new(admission),
        overload: Arc::clone(&overload),
        drain: tasks.stop_token().child_token(),
        leave: CancellationToken::new(),
        quit: shutdown,
        watching,
        telling,
        current,
        config,
    };
    tasks.spawn("identity", |stop| identities.run(stop));
    tasks.spawn("model", |stop| models.run(stop));
    tasks.spawn("dns", |stop| names.run(stop));
    tasks.spawn("overload", |stop| overload.watch(stop));
    if let Some(svids) = keys.svids {
        tasks.spawn("tokens", |stop| svids.run(stop));
    }
    tasks.spawn("token keys", |stop| keys.issuers.run(model, stop));
    let stop = tasks.stop_token();
    let started = stop.run_until_cancelled(start.start(&mut tasks)).await;
    let outcome = tasks.finish(started.unwrap_or(Ok(()))).await;
    info!("proxy stopped");
    outcome
}

/// How long the proxy may take from the first signal to its end: what is under way has
/// `drainTimeout`, however long that is.
pub fn grace(config: &Config) -> Duration {
    let after = after_drain(config).saturating_mul(2);
    GRACE.max(config.drain_timeout.saturating_add(after))
}

/// The workers cut what is not finished in `drainTimeout`, and get a little more to do it. So does
/// what is known of them then, on its way to whoever collects it.
fn after_drain(config: &Config) -> Duration {
    let traced = config.tracing.as_ref();
    traced.map_or(CUT, |_| CUT.max(spans::FLUSH * 2))
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

/// What the proxy is started from, once it follows identity and model.
#[derive(Debug)]
struct Start {
    current: Current<Config>,
    config: Arc<Config>,
    registry: Registry,
    status: SharedStatus,
    sources: Sources,
    admission: Arc<Admission>,
    overload: Arc<Overload>,
    clusters: SharedClusters,
    watching: Option<Watching>,
    telling: Telling,
    /// Cancelled when nothing new is to be accepted.
    drain: CancellationToken,
    /// Cancelled when another process has the ports.
    leave: CancellationToken,
    /// Cancelled when the proxy is to stop.
    quit: CancellationToken,
}

/// The admin endpoint, as it is known to others.
#[derive(Debug, Default)]
struct Administered {
    /// Its port of loopback, if it has one.
    port: Option<u16>,
    /// For the next process.
    handed: Option<Handed>,
}

impl Start {
    /// Opens the ports, or takes them over, and carries connections.
    async fn start(self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let config = &self.config;
        let identity = self.sources.identity.clone();
        let mut taken = hand_over::take_over(config, identity).await?;
        let inheritance = &mut taken.inheritance;
        let (follower, ports) = ports::Follower::start(self.current.clone(), inheritance)?;
        info!(
            inbound = config.inbound.len(),
            outbound = config.outbound.len(),
            threads = config.threads,
            "proxy started"
        );
        let administered = self.administer(&ports, inheritance, tasks)?;
        let socket = hand_over::listen(config, inheritance)?;
        let (drain, leave) = (self.drain.clone(), self.leave.clone());
        tasks.spawn("ports", |stop| follower.run(stop, drain, leave));
        let mut carrying = self.spawn_workers(&ports, administered.port, tasks)?;
        for _ in 0..config.threads {
            carrying.recv().await;
        }
        taken.ready().await;
        let Some(socket) = socket else {
            return Ok(());
        };
        let giver = Giver {
            socket,
            offer: Offer {
                ports,
                admin: administered.handed,
            },
            drain: self.drain,
            leave: self.leave,
            carrying,
            quit: self.quit,
        };
        tasks.spawn("hand-over", |stop| giver.run(stop));
        Ok(())
    }

    /// Opens the admin endpoint, if there is to be one.
    fn administer(
        &self,
        ports: &SharedPorts,
        inheritance: &mut Inheritance,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Administered> {
        let Some(address) = &self.config.admin else {
            return Ok(Administered::default());
        };
        let listener = admin::open(address, self.seen(ports), inheritance)?;
        let port = match listener.address() {
            AdminAddress::Loopback(address) => Some(address.port()),
            AdminAddress::Socket(_) => None,
        };
        let handed = match self.config.hand_over {
            Some(_) => Some(listener.handed().context("admin")?),
            None => None,
        };
        let leave = self.leave.clone();
        // It tells of those that drain, until they have; or until another process tells.
        tasks.spawn_last("admin", |stop| async move {
            let until = stop.child_token();
            let ended = async {
                leave.cancelled().await;
                until.cancel();
                stop.cancelled().await;
            };
            tokio::join!(
                listener.serve(until.clone()),
                stop.run_until_cancelled(ended)
            );
        });
        Ok(Administered { port, handed })
    }

    /// What the admin endpoint tells of, and what it can cancel.
    fn seen(&self, ports: &SharedPorts) -> admin::Seen {
        let watching = self.watching.as_ref();
        admin::Seen {
            metrics: self.registry.clone(),
            sources: self.sources.clone(),
            status: self.status.clone(),
            ports: ports.clone(),
            clusters: self.clusters.clone(),
            overload: Arc::clone(&self.overload),
            connections: watching.map_or_else(Connections::default, |it| it.connections.clone()),
            drain: self.drain.clone(),
            quit: self.quit.clone(),
        }
    }

    /// Starts the threads that carry connections: each says when it does, and when it has finished
    /// after its ports were left to another process.
    fn spawn_workers(
        &self,
        ports: &SharedPorts,
        admin_port: Option<u16>,
        tasks: &mut Tasks,
    ) -> anyhow::Result<mpsc::Receiver<()>> {
        let config = &self.config;
        let (progress, carrying) = mpsc::channel(config.threads);
        for number in 0..config.threads {
            let worker = Worker {
                number,
                threads: config.threads,
                ports: ports.clone(),
                sources: self.sources.clone(),
                admission: Arc::clone(&self.admission),
                overload: Arc::clone(&self.overload),
                clusters: self.clusters.clone(),
                max_connections: config.max_connections,
                drain_timeout: config.drain_timeout,
                drain: self.drain.clone(),
                leave: self.leave.clone(),
                progress: progress.clone(),
                watching: self.watching.clone(),
                telling: self.telling.clone(),
                admin_port,
            };
            tasks
                .spawn_thread(&format!("proxy-{number}"), move |stop| worker.run(&stop))
                .context("a thread for connections cannot be started")?;
        }
        Ok(carrying)
    }
}

const CUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_takes_as_long_to_end_as_its_connections_may() {
        let graced = |drain: &str| {
            let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
            let port = "{ name: a, listen: '127.0.0.1:1', protocol: TCP, connect: 'a.test:1', \
                        expect: ['spiffe://example.org/a'] }";
            let text = format!(
                "workloadApi: unix:///run/agent.sock\ndrainTimeout: {drain}\noutbound: [{port}]\n"
            );
            std::fs::write(file.path(), text).unwrap();
            let flags = RunFlags {
                config: file.path().to_owned(),
                socket_path: None,
                log_level: None,
                log_format: None,
                log_file: None,
                take_over: false,
            };
            grace(&Config::load(&flags).unwrap())
        };
        assert_eq!(graced("5s"), GRACE);
        assert!(graced("10m") > Duration::from_secs(600));
    }
}
