//! All services of the API, and the two places where they are served: TLS for agents and remote
//! administrators, the Unix socket for local ones.

use std::{future::Future, io, sync::Arc, time::Duration};

use futures_util::Stream;
use signet_daemon::socket::PeerStream;
use signet_proto::{
    signet::server::sync::v1::sync_server::SyncServer,
    spire::api::server::{
        agent::v1::agent_server::AgentServer, bundle::v1::bundle_server::BundleServer,
        debug::v1::debug_server::DebugServer, entry::v1::entry_server::EntryServer,
        logger::v1::logger_server::LoggerServer, svid::v1::svid_server::SvidServer,
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tracing::info;

use crate::{
    Backend,
    agents::Agents,
    api::{
        agent::AgentService,
        bundle::BundleService,
        caller::{Authorize, Rules},
        debug::DebugService,
        entry::EntryService,
        limit::Limits,
        local::LoggerService,
        svid::SvidService,
        sync::SyncService,
    },
    bundles::Bundles,
    listener::Connection,
    live::SharedLive,
    registration::Registration,
};

/// The services, ready to be served in both places.
pub(crate) struct Services {
    backend: Backend,
    authorize: Authorize,
    agents: Agents,
    limits: Arc<Limits>,
    started: Instant,
}

impl Services {
    pub(crate) fn new(backend: Backend, live: SharedLive, started: Instant) -> Self {
        let limits = Arc::new(Limits::new(&live));
        let Backend {
            ca,
            store,
            directory,
            ..
        } = &backend;
        let agents = Agents::new(ca.clone(), store.clone(), directory.clone());
        let rules = Rules {
            live,
            directory: directory.clone(),
        };
        Self {
            authorize: Authorize::new(rules, agents.clone()),
            agents,
            limits,
            backend,
            started,
        }
    }

    /// Serves TLS connections until told to stop. Connections are aged, so that clients spread
    /// over servers and their certificates are looked at again.
    pub(crate) fn remote<C>(
        &self,
        connections: C,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<C>
    where
        C: Stream<Item = io::Result<Connection>> + Send + 'static,
    {
        let mut server = server()
            .max_connection_age(LONGEST_CONNECTION)
            .max_connection_age_grace(GRACE)
            .layer(self.authorize.clone());
        let router = server.add_routes(self.shared(&stop));
        async move {
            let stopping = stopping("tcp", stop);
            let served = router.serve_with_incoming_shutdown(connections, stopping);
            served.await?;
            info!(name: "server_api_stopped", network = "tcp", "the API is closed");
            Ok(())
        }
    }

    /// Serves the local socket until told to stop.
    pub(crate) fn local<C>(
        &self,
        connections: C,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<C>
    where
        C: Stream<Item = io::Result<PeerStream>> + Send + 'static,
    {
        let Backend {
            directory,
            identity,
            ..
        } = &self.backend;
        let debug = DebugService::new(directory.clone(), identity.clone(), self.started.into());
        let (_reporter, health) = tonic_health::server::health_reporter();
        let routes = self
            .shared(&stop)
            .add_service(LoggerServer::new(LoggerService))
            .add_service(DebugServer::new(debug))
            .add_service(health);
        let mut server = server().layer(self.authorize.clone());
        let router = server.add_routes(routes);
        async move {
            let stopping = stopping("unix", stop);
            let served = router.serve_with_incoming_shutdown(connections, stopping);
            served.await?;
            info!(name: "server_api_stopped", network = "unix", "the API is closed");
            Ok(())
        }
    }

    /// What is served in both places.
    fn shared(&self, stop: &CancellationToken) -> Routes {
        let Backend {
            store,
            directory,
            ca,
            attestors,
            ..
        } = &self.backend;
        let registration = Registration::new(store.clone(), directory.clone());
        let bundles = Bundles::new(store.clone(), directory.clone());
        let agent = AgentService {
            agents: self.agents.clone(),
            attestors: Arc::clone(attestors),
            limits: Arc::clone(&self.limits),
        };
        let svid = SvidService {
            ca: ca.clone(),
            directory: directory.clone(),
            limits: Arc::clone(&self.limits),
        };
        let entry = EntryService::new(registration, directory.clone());
        let bundle = BundleService::new(bundles, directory.clone());
        let sync = SyncService::new(directory.clone(), stop.clone());
        Routes::new(AgentServer::new(agent))
            .add_service(SvidServer::new(svid))
            .add_service(EntryServer::new(entry))
            .add_service(BundleServer::new(bundle))
            .add_service(SyncServer::new(sync))
    }
}

async fn stopping(network: &'static str, stop: CancellationToken) {
    stop.cancelled().await;
    info!(name: "server_api_stopping", network, "closing the API");
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(MOST_STREAMS)
        .http2_max_header_list_size(MOST_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}

const LONGEST_CONNECTION: Duration = Duration::from_secs(3 * 60);
const GRACE: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Requests at a time on one connection.
const MOST_STREAMS: u32 = 128;
const MOST_HEADER_BYTES: u32 = 16 * 1024;
