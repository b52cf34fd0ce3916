//! All services of the API, and the two places where they are served: TLS for agents and remote
//! administrators, the Unix socket for local ones.

use std::{future::Future, io, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

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
        address: ApiAddress,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<C>
    where
        C: Stream<Item = io::Result<Connection>> + Send + 'static,
    {
        let mut server = remote_server().layer(self.authorize.clone());
        let router = server.add_routes(self.shared(&stop));
        let stopping = stop.clone().cancelled_owned();
        address.serve(
            router.serve_with_incoming_shutdown(connections, stopping),
            stop,
        )
    }

    /// Serves the local socket until told to stop.
    pub(crate) fn local<C>(
        &self,
        connections: C,
        address: ApiAddress,
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
        let stopping = stop.clone().cancelled_owned();
        address.serve(
            router.serve_with_incoming_shutdown(connections, stopping),
            stop,
        )
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

/// Where the API is served, as the log names it.
#[derive(Debug, Clone)]
pub(crate) struct ApiAddress {
    network: &'static str,
    address: String,
}

impl ApiAddress {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self {
            network: "tcp",
            address: address.to_string(),
        }
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self {
            network: "unix",
            address: path.display().to_string(),
        }
    }

    pub(crate) fn starting(&self) {
        let Self { network, address } = self;
        info!(name: "server_api_starting", address, network, "Starting Server APIs");
    }

    /// Serves to its end, and says what it is at: that it stops before its connections know.
    async fn serve<S>(self, serving: S, stop: CancellationToken) -> anyhow::Result<()>
    where
        S: Future<Output = Result<(), tonic::transport::Error>>,
    {
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            served = &mut serving => Some(served),
        };
        match ended {
            Some(served) => served?,
            None => {
                self.stopping();
                serving.await?;
            }
        }
        self.stopped();
        Ok(())
    }

    fn stopping(&self) {
        let Self { network, address } = self;
        info!(name: "server_api_stopping", address, network, "closing the API");
        info!(name: "server_api_draining", address, network, "letting calls end");
    }

    fn stopped(&self) {
        let Self { network, address } = self;
        info!(name: "server_api_drained", address, network, "no call is left");
        info!(name: "server_api_stopped", address, network, "the API is closed");
    }
}

/// Nobody is waited for for longer than this, not even one that takes nothing of what it is sent.
fn remote_server() -> Server {
    server()
        .max_connection_age(LONGEST_CONNECTION)
        .max_connection_age_grace(GRACE)
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(MOST_STREAMS)
        .http2_max_header_list_size(MOST_HEADER_BYTES)
}

const LONGEST_CONNECTION: Duration = Duration::from_secs(3 * 60);
const GRACE: Duration = Duration::from_secs(10);
/// Requests at a time on one connection.
const MOST_STREAMS: u32 = 128;
const MOST_HEADER_BYTES: u32 = 16 * 1024;

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, DuplexStream, duplex},
        time::timeout,
    };

    use super::*;

    /// How long `client` has of a connection on which it has opened HTTP/2.
    async fn served<F: Future<Output = ()>>(
        room: usize,
        client: impl FnOnce(DuplexStream) -> F,
    ) -> Duration {
        let (mut ours, theirs) = duplex(room);
        // The preface, and settings that change nothing (RFC 9113 §3.4).
        let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        ours.write_all(opening).await.unwrap();
        let (_reporter, health) = tonic_health::server::health_reporter();
        let connections = tokio_stream::iter([io::Result::Ok(theirs)]);
        let router = remote_server().add_service(health);
        let began = Instant::now();
        let client = timeout(Duration::from_secs(3600), client(ours));
        let (served, ended) = tokio::join!(router.serve_with_incoming(connections), client);
        served.unwrap();
        ended.map_or(Duration::MAX, |()| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_takes_nothing_is_given_up_when_its_connection_is_old() {
        // It lets the server have a byte more now and then, and reads nothing.
        let took = served(40, |mut agent| async move {
            let window_update = b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01";
            while agent.write_all(window_update).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let took = took.await.as_secs();
        assert!((190..=191).contains(&took), "{took}");
    }
}
