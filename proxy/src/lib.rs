//! The data plane: a proxy beside a workload that speaks mTLS for it, verifies the SPIFFE
//! ID at the other end and enforces policy.
//!
//! A connection passes `TcpStream → Authenticated → Authorized → forward`; each step is
//! made of the one before. The control tasks (identity, model) run on the caller's
//! runtime; connections run on threads of their own (`worker.rs`).
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod accept;
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
mod worker;
mod workload_api;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use signet_daemon::{reload::Current, tasks::Tasks};
use signet_mesh::Home;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::config::{
    Config, Connect, Forward, Inbound, LocalRateLimit, Outbound, PortProtocol, Protocol, RunFlags,
    Target,
};
use self::{
    admission::Admission, cluster::SharedClusters, ports::SharedPorts, reauthorize::Sources,
    worker::Worker,
};

/// Runs the proxy until `shutdown`.
///
/// # Errors
/// What cannot be started, with its location or address and the remedy; or the task that ended by
/// itself.
pub async fn run(current: Current<Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Arc::clone(&current.borrow());
    let (models, model) = source::Follower::start(current.clone())?;
    let (identities, identity, trust) = identity::Follower::new(&config.workload_api)?;
    let (admission, tokens) = admission::start(&config)?;
    let admission = Arc::new(admission);
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
    let mut tasks = Tasks::new(&shutdown, config.drain_timeout.saturating_add(CUT));
    tasks.spawn("identity", |stop| identities.run(stop));
    tasks.spawn("model", |stop| models.run(stop));
    tasks.spawn("ports", |stop| follower.run(stop));
    if let Some(tokens) = tokens {
        tasks.spawn("tokens", |stop| tokens.run(stop));
    }
    let started = start(&config, &ports, &Given { sources, admission }, &mut tasks);
    let outcome = tasks.finish(started).await;
    info!("proxy stopped");
    outcome
}

/// What all threads decide by.
struct Given {
    sources: Sources,
    admission: Arc<Admission>,
}

/// Starts the threads that carry connections.
fn start(
    config: &Config,
    ports: &SharedPorts,
    given: &Given,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let home = Home {
        locality: config.locality.clone(),
        labels: config.workload.labels.clone(),
    };
    let clusters = SharedClusters::new(given.sources.model.clone(), home);
    for number in 0..config.threads {
        let worker = Worker {
            number,
            ports: ports.clone(),
            sources: given.sources.clone(),
            admission: Arc::clone(&given.admission),
            clusters: clusters.clone(),
            max_connections: config.max_connections,
            drain_timeout: config.drain_timeout,
        };
        tasks
            .spawn_thread(&format!("proxy-{number}"), move |stop| worker.run(&stop))
            .context("a thread for connections cannot be started")?;
    }
    Ok(())
}

const CUT: Duration = Duration::from_secs(1);
