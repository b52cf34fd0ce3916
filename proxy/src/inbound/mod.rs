//! Ports that other proxies connect to: accept → authenticate → authorize → forward, each
//! step made of the one before.

mod http;
mod tcp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use signet_daemon::socket::{ConnectionLimit, Slot, Source};
use signet_identity::tls::{self, Clients};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    accept::Acceptor,
    config::{Inbound, Protocol},
    dial::Route,
    http::pool::Pool,
    peer::Peer,
    read_ahead::ReadAhead,
    reauthorize::Sources,
};

/// One inbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    name: Arc<str>,
    config: Inbound,
    tls: Tls,
    /// How many there may be at a time.
    handshakes: ConnectionLimit,
    sources: Sources,
    route: Route,
    pool: Arc<Pool>,
    shutdown: CancellationToken,
}

/// A connection whose client has proven a SPIFFE ID.
#[derive(Debug)]
struct Authenticated {
    /// In a place of its own: it is handed on from step to step.
    stream: Box<TlsStream<ReadAhead>>,
    peer: Peer,
    /// Since before the handshake, so that no change is missed.
    sources: Sources,
}

impl Port {
    /// A port of the configuration; connections to the application run on `tasks`.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub(crate) fn new(
        config: Inbound,
        sources: Sources,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let alpn: &[&[u8]] = if config.protocol.is_http() {
            &[b"h2", b"http/1.1"]
        } else {
            &[]
        };
        let (identity, trust) = (sources.identity.clone(), sources.trust.clone());
        let tls = tls::server_config(identity, trust, Clients::Required, alpn)?;
        let route = Route::Application(config.forward.clone());
        Ok(Arc::new(Self {
            name: config.name.as_str().into(),
            tls: Tls(tls.into()),
            handshakes: ConnectionLimit::new(MOST_HANDSHAKES, MOST_HANDSHAKES / 2),
            sources,
            pool: Pool::new(route.clone(), config.protocol, tasks.clone()),
            route,
            config,
            shutdown,
        }))
    }

    /// Accepts from the first identity on until shutdown.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        limit: usize,
        tasks: TaskTracker,
    ) {
        // Of one address, half of the connections that have not shown who they are.
        let acceptor = Acceptor {
            name: Arc::clone(&self.name),
            listener,
            limit: ConnectionLimit::new(limit, limit.div_ceil(2)),
        };
        let handle = |stream, client, slot| Arc::clone(&self).carry(stream, client, slot);
        acceptor
            .serve(&self.sources.identity, &self.shutdown, &tasks, handle)
            .await;
    }

    async fn carry(self: Arc<Self>, stream: TcpStream, client: SocketAddr, mut slot: Slot) {
        // What a handshake needs goes when it ends; the connection lives on.
        match Box::pin(self.authenticate(stream, client)).await {
            Ok(authenticated) => {
                slot.authenticated();
                match self.config.protocol {
                    Protocol::Tcp => self.carry_tcp(authenticated).await,
                    Protocol::Http | Protocol::Http2 => self.carry_http(authenticated).await,
                }
            }
            Err(error) => {
                warn!(port = &*self.name, %client, "connection refused, not authenticated: {error:#}");
            }
        }
    }

    async fn authenticate(
        &self,
        stream: TcpStream,
        client: SocketAddr,
    ) -> anyhow::Result<Authenticated> {
        let slot = timeout(WAIT, self.handshakes.wait(Source::of(client)));
        let _slot = slot
            .await
            .context("too many handshakes of others, or of its own address")?;
        let sources = self.sources.as_of_now();
        let handshake = timeout(HANDSHAKE, self.tls.0.accept(ReadAhead::new(stream)));
        let stream = handshake
            .await
            .context("the handshake took too long")?
            .map_err(|error| anyhow!(tls::reason(&error)))?;
        let peer = Peer::of(&stream, sources.trust_domain())?;
        Ok(Authenticated {
            stream: Box::new(stream),
            peer,
            sources,
        })
    }
}

struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsAcceptor")
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for the handshakes of others.
const WAIT: Duration = Duration::from_secs(10);
/// At a time, on one port and thread; of one address, half of them.
const MOST_HANDSHAKES: usize = 512;
