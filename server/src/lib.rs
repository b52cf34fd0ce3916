//! The server: the authority of one trust domain. It attests nodes, keeps the registration
//! entries, signs SVIDs, and tells its agents what has changed.
//!
//! Rooms, downward only: `api → {agents, registration, bundles, ca, attest} → directory → store`.
//! [`run`] puts them together.
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod agents;
mod api;
mod attest;
mod bundles;
mod ca;
mod clock;
mod config;
mod directory;
mod housekeeping;
mod listener;
mod live;
mod registration;
mod services;
mod share;
mod store;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use signet_daemon::{
    file,
    guard::{self, Holds},
    health::{Health, HealthListener, State},
    reload::Current,
    socket::UnixSocket,
    tasks::Tasks,
};
use signet_identity::tls::SharedIdentity;
use tokio::{net::TcpListener, task, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use attest::{Attestors, NodeAttestor, X509Pop};
use ca::{Ca, KeyManager, Rotation, ServerSvid};
use config::{AttestorSettings, KeyManagerSettings};
pub use config::{Config, RunFlags};
use directory::Directory;
use housekeeping::Housekeeping;
use listener::TlsListener;
use services::{ApiAddress, Services};
use store::Store;

/// Runs the server until `shutdown` is cancelled or a task of it fails.
///
/// # Errors
/// What cannot be started, with its place and remedy; or the task that ended by itself.
pub async fn run(current: Current<Config>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let config = Arc::clone(&current.borrow());
    info!(
        name: "server_configured",
        admin_ids = ?config.admin_ids.iter().collect::<Vec<_>>(),
        data_dir = %config.data_dir.display(),
        launch_log_level = %config.log.level,
        version = env!("CARGO_PKG_VERSION"),
        "starting the server"
    );
    for warning in config.warnings() {
        warn!("{warning}");
    }
    config.without_effect.log();
    let mut tasks = Tasks::new(&shutdown, DRAIN);
    // What was started is stopped in order even if the rest cannot be.
    let started = start(current, &mut tasks).await;
    tasks.finish(started).await
}

/// The sockets, bound before anything is stored or signed.
struct Sockets {
    agents: TcpListener,
    admin: UnixSocket,
    health: Option<HealthListener>,
}

/// What the API stands on.
struct Backend {
    store: Store,
    directory: Directory,
    ca: Ca,
    identity: SharedIdentity,
    attestors: Arc<Attestors>,
}

async fn start(current: Current<Config>, tasks: &mut Tasks) -> anyhow::Result<()> {
    let config = Arc::clone(&current.borrow());
    let (follower, live) = live::Follower::new(current);
    tasks.spawn("configuration", |stop| follower.run(stop));
    let health = Health::new();
    let sockets = bind(&config, &health)?;
    let backend = prepare(&config, tasks).await?;
    watch(&backend, &health);
    let listener = TlsListener::new(
        sockets.agents,
        backend.identity.clone(),
        backend.directory.trust(),
    )?;
    let services = Services::new(backend, live, Instant::now());
    let (handshakes, connections) = listener.split();
    tasks.spawn("TLS acceptor", |stop| handshakes.run(stop));
    let address = ApiAddress::tcp(config.bind);
    address.starting();
    tasks.spawn("agent listener", |stop| {
        services.remote(connections, address, stop)
    });
    let (admin, address) = (
        sockets.admin.incoming(),
        ApiAddress::unix(&config.socket_path),
    );
    address.starting();
    tasks.spawn("admin listener", |stop| {
        services.local(admin, address, stop)
    });
    if let Some(listener) = sockets.health {
        tasks.spawn("health listener", |stop| listener.serve(stop));
    }
    Ok(())
}

fn bind(config: &Config, health: &Health) -> anyhow::Result<Sockets> {
    file::create_private_directory(&config.data_dir).context("data_dir")?;
    let agents = listener::bind(config.bind).context("bind_address and bind_port")?;
    let admin = UnixSocket::bind(&config.socket_path, SOCKET_MODE).context("socket_path")?;
    let health = HealthListener::bind(&config.health, health)?;
    Ok(Sockets {
        agents,
        admin,
        health,
    })
}

/// Opens the store, loads the directory, and brings the CA to where it can sign.
async fn prepare(config: &Config, tasks: &mut Tasks) -> anyhow::Result<Backend> {
    let attestors = attestors(config.attestors.clone()).await?;
    check_private(config)?;
    let (store, writer, followed) = Store::open(&config.database)
        .await
        .context("DataStore \"sql\"")?;
    // What the others write on their way out stays.
    tasks.spawn_last("database", |stop| writer.run(stop));
    // The database's lock keeps other servers off the keys too.
    let keys = key_manager(config.key_manager.clone()).await?;
    let trust_domain = &config.ca.trust_domain;
    let (directory, follower) = Directory::load(&store, followed, trust_domain.clone()).await?;
    tasks.spawn("directory", |stop| follower.run(stop));
    let (settings, own) = (config.ca.clone(), store.clone());
    let (rotation, ca) = Rotation::start(settings, keys, own, directory.clone(), clock::now())
        .await
        .context("cannot prepare the certificate authority")?;
    tasks.spawn("CA rotation", |stop| rotation.run(stop));
    let svid = ServerSvid::start(ca.clone(), config.ca.ca_key_type, clock::now());
    let (svid, identity) = svid.await?;
    tasks.spawn("server SVID", |stop| svid.run(stop));
    let attestors = Attestors::new(trust_domain.clone(), attestors, store.clone());
    let housekeeping = Housekeeping::new(store.clone(), directory.clone());
    tasks.spawn("housekeeping", |stop| housekeeping.run(stop));
    Ok(Backend {
        attestors: Arc::new(attestors),
        store,
        directory,
        ca,
        identity,
    })
}

/// Nobody else can change what the authority stands on, nor read its keys.
fn check_private(config: &Config) -> anyhow::Result<()> {
    guard::check_private(&config.database, Holds::State).context("DataStore \"sql\"")?;
    match &config.key_manager {
        KeyManagerSettings::Memory => Ok(()),
        KeyManagerSettings::Disk { path } => {
            guard::check_private(path, Holds::Keys).context("KeyManager \"disk\"")
        }
    }
}

async fn key_manager(settings: KeyManagerSettings) -> anyhow::Result<KeyManager> {
    let open = move || match settings {
        KeyManagerSettings::Memory => Ok(KeyManager::memory()),
        KeyManagerSettings::Disk { path } => KeyManager::disk(&path),
    };
    Ok(task::spawn_blocking(open).await??)
}

async fn attestors(settings: Vec<AttestorSettings>) -> anyhow::Result<Vec<NodeAttestor>> {
    let load = |settings| match settings {
        AttestorSettings::JoinToken => Ok(NodeAttestor::JoinToken),
        AttestorSettings::X509Pop(pop) => X509Pop::load(&pop).map(NodeAttestor::X509Pop),
    };
    let load = move || settings.into_iter().map(load).collect::<Result<_, _>>();
    Ok(task::spawn_blocking(load).await??)
}

/// The checks of the health listener, by SPIRE's names.
fn watch(backend: &Backend, health: &Health) {
    let ca = backend.ca.clone();
    health.register("server.ca", move || match ca.is_ready() {
        true => State::well(),
        false => State::unready("no authority is active"),
    });
    let directory = backend.directory.clone();
    health.register("server", move || {
        match directory.bundle(directory.trust_domain()) {
            Some(_) => State::well(),
            None => State::unready("the trust domain has no bundle yet"),
        }
    });
}

/// Connections may take this long to end, and so may the database.
const DRAIN: Duration = Duration::from_secs(10);
/// Whoever can open the admin socket is an administrator.
const SOCKET_MODE: u32 = 0o600;

#[cfg(test)]
mod tests;
