//! The node's part of Signet: attests the node and its workloads, keeps their SVIDs fresh, and
//! serves the SPIFFE Workload API.
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod api;
mod backoff;
mod cache;
mod certificate;
mod clock;
mod config;
mod disk_cache;
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
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use signet_daemon::{
    health::{Health, HealthListener},
    reload::Current,
    socket::UnixSocket,
    tasks::Tasks,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use config::{Config, RunFlags};

use api::AdminApi;
use cache::{Cache, Restored};
use disk_cache::DiskCache;
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
pub async fn run(config: Current<Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
    // No setting of the agent but the level of its log takes effect while it runs.
    let config = Config::clone(&config.borrow());
    info!(
        name: "agent_starting",
        data_dir = %config.data_dir.display(),
        version = env!("CARGO_PKG_VERSION"),
        "starting the agent"
    );
    config.without_effect.log();
    let health = Health::new();
    let status = Status::new(&health);
    let mut tasks = Tasks::new(&shutdown, DRAIN);
    if let Some(listener) = HealthListener::bind(&config.health, &health)? {
        tasks.spawn("health checks", |stop| listener.serve(stop));
    }
    let started = start(config, &mut tasks, status).await;
    tasks.finish(started).await
}

/// Takes up what an earlier run has left, serves it if it can be served, and connects. An agent
/// that has nothing to serve gets the node attested first.
async fn start(config: Config, tasks: &mut Tasks, status: Status) -> anyhow::Result<()> {
    let started = clock::now();
    let Start {
        mut node,
        disk_cache,
        restored,
    } = restore(&config, &status)?;
    let waits = restored.is_none() || node.is_attested(clock::now());
    if waits && !node.establish(&tasks.stop_token()).await? {
        return Ok(());
    }
    let own = node
        .bundle()
        .context("the node is attested, but has no bundle")?;
    let cache = Cache::new(own, config.limits, node.upstream());
    if let Some(restored) = restored {
        cache.restore(restored, clock::now());
    }
    if let Some(disk_cache) = disk_cache {
        let (cache, identity) = (cache.clone(), node.identity());
        tasks.spawn("cache on disk", |stop| {
            disk_cache.keep(cache, identity, stop)
        });
    }
    let delegates = config.admin.as_ref().map(|admin| admin.delegates.clone());
    let api = AdminApi {
        cache: cache.clone(),
        attestors: attestors(&config),
        delegates: Arc::new(delegates.unwrap_or_default()),
        identity: node.identity(),
        status: status.clone(),
        started,
    };
    serve(&config, api, tasks);
    connect(&config, cache, node, status, tasks);
    Ok(())
}

/// What an agent starts from.
struct Start {
    node: Node,
    /// None if keys are not kept.
    disk_cache: Option<DiskCache>,
    restored: Option<Restored>,
}

fn restore(config: &Config, status: &Status) -> anyhow::Result<Start> {
    let (keys, trust_domain) = (config.keys.clone(), &config.node.trust_domain);
    let (storage, saved) = Storage::open(&config.data_dir, keys, trust_domain)?;
    let bootstrap = config.bootstrap.clone();
    let settings = config.node.clone();
    let node = Node::new(settings, storage.clone(), saved, bootstrap, status.clone())?;
    let disk_cache = match storage.cache_key()? {
        Some(key) => Some(DiskCache::new(storage.cache_path(), &key)?),
        None => {
            info!(
                "KeyManager \"memory\" keeps nothing: restarted while the server is away, this \
                 agent serves nobody"
            );
            None
        }
    };
    let agent = node
        .identity()
        .borrow()
        .as_ref()
        .map(|own| own.id().clone());
    let restored = disk_cache
        .as_ref()
        .zip(agent)
        .and_then(|(disk_cache, agent)| disk_cache.restore(&agent, clock::now()));
    Ok(Start {
        node,
        disk_cache,
        restored,
    })
}

fn attestors(config: &Config) -> Attestors {
    let unix = &config.unix;
    let discovery = Discovery::from_settings(unix.discover_workload_path, unix.workload_size_limit);
    Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(discovery))])
}

/// Starts what workloads and administrators ask; each socket opens once the cache is filled.
fn serve(config: &Config, api: AdminApi, tasks: &mut Tasks) {
    let (path, probed) = (config.socket_path.clone(), api.status.clone());
    let (cache, attestors) = (api.cache.clone(), api.attestors.clone());
    let settings = config.api.clone();
    if let Some(admin) = &config.admin {
        let path = admin.socket_path.clone();
        tasks.spawn("admin API", |stop| serve_admin(path, api, stop));
    }
    tasks.spawn("Workload API", |stop| {
        serve_workloads(path, cache, attestors, settings, stop)
    });
    let path = config.socket_path.clone();
    tasks.spawn("self-check", |stop| probe(path, probed, stop));
}

/// Starts what lives from the node's identity.
fn connect(config: &Config, cache: Cache, node: Node, status: Status, tasks: &mut Tasks) {
    let upstream = node.upstream();
    let keeper = node.trust_keeper(cache.bundles());
    let interval = config.sync_interval;
    let sync = Sync::new(cache.clone(), upstream.clone(), interval, status);
    let rotation = Rotation {
        cache,
        upstream,
        key_type: config.key_type,
        availability_target: config.node.availability_target,
    };
    tasks.spawn("node identity", async |stop| Ok(node.run(stop).await?));
    tasks.spawn("trust", |stop| keeper.run(stop));
    tasks.spawn("synchronization", |stop| sync.run(stop));
    tasks.spawn("rotation", |stop| rotation.run(stop));
}

async fn serve_workloads(
    path: PathBuf,
    cache: Cache,
    attestors: Attestors,
    settings: api::Settings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if !filled(&cache, &stop).await? {
        return Ok(());
    }
    let socket = UnixSocket::bind(&path, OPEN_TO_ALL)?;
    Ok(api::serve(socket, cache, attestors, settings, stop).await?)
}

async fn serve_admin(path: PathBuf, api: AdminApi, stop: CancellationToken) -> anyhow::Result<()> {
    if !filled(&api.cache, &stop).await? {
        return Ok(());
    }
    let socket = UnixSocket::bind(&path, OPEN_TO_OWNER)?;
    Ok(api::serve_admin(socket, api, stop).await?)
}

/// Waits until there is something to serve; `false` if the agent is told to stop before.
async fn filled(cache: &Cache, stop: &CancellationToken) -> anyhow::Result<bool> {
    let mut filled = cache.filled();
    let filled = filled.wait_for(|filled| *filled);
    let Some(filled) = stop.run_until_cancelled(filled).await else {
        return Ok(false);
    };
    filled.context("the cache is gone")?;
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
