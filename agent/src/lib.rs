//! The node's part of Signet: attests the node and its workloads, keeps their SVIDs fresh, and
//! serves the SPIFFE Workload API.

mod api;
mod backoff;
mod cache;
mod certificate;
mod clock;
mod config;
mod node;
mod rotation;
mod status;
mod storage;
mod sync;
#[cfg(test)]
mod testing;
mod upstream;
mod workload;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use signet_daemon::{
    health::{Health, HealthListener},
    socket::UnixSocket,
    tasks::Tasks,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

pub use config::{Config, RunFlags};

use cache::Cache;
use config::Admin;
use node::Node;
use rotation::Rotation;
use status::Status;
use storage::Storage;
use sync::Sync;
use workload::{Attestors, Discovery, Unix, WorkloadAttestor};

/// Runs the agent until shutdown. Ends by itself only when this node cannot work as configured,
/// or when the server has banned the agent.
///
/// # Errors
/// What cannot be started, with its place and remedy; or the task that ended by itself.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let health = Health::new();
    let status = Status::new(&health);
    let mut tasks = Tasks::new(&shutdown, DRAIN);
    if let Some(listener) = HealthListener::bind(&config.health, &health)? {
        tasks.spawn("health checks", |stop| listener.serve(stop));
    }
    let started = start(config, &mut tasks, status).await;
    tasks.finish(started).await
}

/// Gets the node attested, then starts everything that lives from its identity.
async fn start(config: Config, tasks: &mut Tasks, status: Status) -> anyhow::Result<()> {
    let (keys, trust_domain) = (config.keys.clone(), &config.node.trust_domain);
    let (storage, saved) = Storage::open(&config.data_dir, keys, trust_domain)?;
    let bootstrap = config.bootstrap.clone();
    let mut node = Node::new(
        config.node.clone(),
        storage,
        saved,
        bootstrap,
        status.clone(),
    )?;
    if !node.establish(&tasks.stop_token()).await? {
        return Ok(());
    }
    let own = node
        .bundle()
        .context("the node is attested, but has no bundle")?;
    let upstream = node.upstream();
    let cache = Cache::new(own, config.limits, upstream.clone());
    let keeper = node.trust_keeper(cache.bundles());
    let sync = Sync::new(
        cache.clone(),
        upstream.clone(),
        config.sync_interval,
        status.clone(),
    );
    let rotation = Rotation {
        cache: cache.clone(),
        upstream,
        key_type: config.key_type,
        availability_target: config.node.availability_target,
    };
    let first = sync.first();
    tasks.spawn("node identity", async |stop| Ok(node.run(stop).await?));
    tasks.spawn("trust", |stop| keeper.run(stop));
    tasks.spawn("synchronization", |stop| sync.run(stop));
    tasks.spawn("rotation", |stop| rotation.run(stop));
    let path = config.socket_path.clone();
    let probed = status.clone();
    let unix = &config.unix;
    let discovery = Discovery::from_settings(unix.discover_workload_path, unix.workload_size_limit);
    let attestors = Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(discovery))]);
    if let Some(admin) = config.admin.clone() {
        let (cache, attestors, first) = (cache.clone(), attestors.clone(), first.clone());
        tasks.spawn("admin API", |stop| {
            serve_admin(admin, cache, attestors, first, stop)
        });
    }
    tasks.spawn("Workload API", |stop| {
        serve(config, cache, attestors, first, stop)
    });
    tasks.spawn("self-check", |stop| probe(path, probed, stop));
    Ok(())
}

/// Opens the Workload API once the cache is filled: before that it could only tell workloads,
/// wrongly, that they have no identity.
async fn serve(
    config: Config,
    cache: Cache,
    attestors: Attestors,
    first: watch::Receiver<bool>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if !filled(first, &stop).await? {
        return Ok(());
    }
    let socket = UnixSocket::bind(&config.socket_path, OPEN_TO_ALL)?;
    Ok(api::serve(socket, cache, attestors, config.api, stop).await?)
}

/// Opens the admin socket, at the same time and for the same reason.
async fn serve_admin(
    admin: Admin,
    cache: Cache,
    attestors: Attestors,
    first: watch::Receiver<bool>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if !filled(first, &stop).await? {
        return Ok(());
    }
    let socket = UnixSocket::bind(&admin.socket_path, OPEN_TO_OWNER)?;
    Ok(api::serve_delegates(socket, cache, attestors, admin.delegates, stop).await?)
}

/// Waits for the first synchronization; `false` if the agent is told to stop before.
async fn filled(
    mut first: watch::Receiver<bool>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let filled = first.wait_for(|synced| *synced);
    let Some(filled) = stop.run_until_cancelled(filled).await else {
        return Ok(false);
    };
    filled.context("synchronization ended")?;
    Ok(true)
}

/// Asks the own Workload API now and then, as a workload would.
async fn probe(path: PathBuf, status: Status, stop: CancellationToken) {
    let mut pause = FIRST_PROBES;
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        let answer = probe_once(&path);
        match stop.run_until_cancelled(answer).await {
            Some(Ok(())) => {
                status.serving();
                pause = LATER_PROBES;
            }
            Some(Err(error)) => {
                status.not_serving(&error);
                pause = FIRST_PROBES;
            }
            None => {}
        }
    }
}

async fn probe_once(path: &Path) -> Result<(), api::ProbeError> {
    api::probe(path, PROBE_DEADLINE).await
}

/// Streams may take this long to end.
const DRAIN: Duration = Duration::from_secs(10);
/// Who a caller is, the kernel says; so every process may connect.
const OPEN_TO_ALL: u32 = 0o777;
/// Delegates are of the agent's own user or group.
const OPEN_TO_OWNER: u32 = 0o770;
const FIRST_PROBES: Duration = Duration::from_secs(1);
const LATER_PROBES: Duration = Duration::from_secs(30);
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
