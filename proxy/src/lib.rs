//! The data plane: a proxy beside a workload that speaks mTLS for it, verifies the SPIFFE
//! ID at the other end and enforces policy.
//!
//! A connection passes `TcpStream → Authenticated → Authorized → forward`; each step is
//! made of the one before. The control tasks (identity, policy) run on the caller's
//! runtime; connections run on threads of their own (`worker.rs`).

mod accept;
mod buffer;
mod clock;
mod config;
mod dial;
mod http;
mod identity;
mod inbound;
mod listen;
mod outbound;
mod peer;
mod policy;
mod read_ahead;
mod reauthorize;
mod relay;
mod worker;
mod workload_api;

use std::time::Duration;

use anyhow::Context as _;
use signet_daemon::tasks::Tasks;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::config::{Config, Inbound, Outbound, Protocol, RunFlags, Target};
use self::{reauthorize::Sources, worker::Worker};

/// Runs the proxy until `shutdown`.
///
/// # Errors
/// What cannot be started, with its place and remedy; or the task that ended by itself.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (policies, policy) = policy::Follower::start(&config)?;
    let (identities, identity, trust) = identity::Follower::new(&config.workload_api)?;
    let workers = workers(
        &config,
        &Sources {
            identity,
            trust,
            policy,
        },
    )?;
    info!(
        inbound = config.inbound.len(),
        outbound = config.outbound.len(),
        threads = config.threads,
        "proxy started"
    );
    // The workers cut what is not finished in `drainTimeout`; they get a little more to do it.
    let mut tasks = Tasks::new(&shutdown, config.drain_timeout.saturating_add(CUT));
    tasks.spawn("identity", |stop| identities.run(stop));
    tasks.spawn("policies", |stop| policies.run(stop));
    let started = start(workers, &mut tasks);
    let outcome = tasks.finish(started).await;
    info!("proxy stopped");
    outcome
}

/// Opens every port before any connection is carried.
fn workers(config: &Config, sources: &Sources) -> anyhow::Result<Vec<Worker>> {
    let mut workers: Vec<Worker> = (0..config.threads)
        .map(|_| Worker {
            inbound: Vec::new(),
            outbound: Vec::new(),
            sources: sources.clone(),
            max_connections: config.max_connections,
            drain_timeout: config.drain_timeout,
        })
        .collect();
    for port in &config.inbound {
        let sockets = listen::open(port.listen, config.threads)
            .with_context(|| format!("inbound `{}`", port.name))?;
        for (worker, socket) in workers.iter_mut().zip(sockets) {
            worker.inbound.push((port.clone(), socket));
        }
    }
    for port in &config.outbound {
        let sockets = listen::open(port.listen, config.threads)
            .with_context(|| format!("outbound `{}`", port.name))?;
        for (worker, socket) in workers.iter_mut().zip(sockets) {
            worker.outbound.push((port.clone(), socket));
        }
    }
    Ok(workers)
}

fn start(workers: Vec<Worker>, tasks: &mut Tasks) -> anyhow::Result<()> {
    for (number, worker) in workers.into_iter().enumerate() {
        tasks
            .spawn_thread(&format!("proxy-{number}"), move |stop| worker.run(&stop))
            .context("a thread for connections cannot be started")?;
    }
    Ok(())
}

const CUT: Duration = Duration::from_secs(1);
