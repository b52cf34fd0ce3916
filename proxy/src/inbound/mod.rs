//! Ports that other proxies connect to: accept → authenticate → authorize → forward, each
//! step made of the one before.

mod http;
mod tcp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::anyhow;
use signet_identity::tls::{self, Clients};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    accept::{self, Door},
    config::{Inbound, Protocol},
    dial::Route,
    http::pool::Pool,
    peer::Peer,
    read_ahead::ReadAhead,
    standing::Standing,
};

/// One inbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    name: Arc<str>,
    config: Inbound,
    acceptor: Acceptor,
    standing: Standing,
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
    standing: Standing,
}

impl Port {
    /// A port of the configuration; connections to the application run on `tasks`.
    ///
    /// # Errors
    /// TLS that cannot be set up.
    pub(crate) fn new(
        config: Inbound,
        standing: Standing,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Arc<Self>> {
        let alpn: &[&[u8]] = if config.protocol.is_http() {
            &[b"h2", b"http/1.1"]
        } else {
            &[]
        };
        let (identity, trust) = (standing.identity.clone(), standing.trust.clone());
        let tls = tls::server_config(identity, trust, Clients::Required, alpn)?;
        let route = Route::Application(config.forward.clone());
        Ok(Arc::new(Self {
            name: config.name.as_str().into(),
            acceptor: Acceptor(tls.into()),
            standing,
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
        let door = Door {
            name: Arc::clone(&self.name),
            listener,
            limit,
        };
        let handle = |stream, client| Arc::clone(&self).carry(stream, client);
        accept::serve(
            door,
            &self.standing.identity,
            &self.shutdown,
            &tasks,
            handle,
        )
        .await;
    }

    async fn carry(self: Arc<Self>, stream: TcpStream, client: SocketAddr) {
        // What a handshake needs goes when it ends; the connection lives on.
        match Box::pin(self.authenticate(stream)).await {
            Ok(authenticated) => match self.config.protocol {
                Protocol::Tcp => self.carry_tcp(authenticated).await,
                Protocol::Http | Protocol::Http2 => self.carry_http(authenticated).await,
            },
            Err(error) => {
                warn!(port = &*self.name, %client, "connection refused, not authenticated: {error:#}");
            }
        }
    }

    async fn authenticate(&self, stream: TcpStream) -> anyhow::Result<Authenticated> {
        let standing = self.standing.as_of_now();
        let handshake = timeout(HANDSHAKE, self.acceptor.0.accept(ReadAhead::new(stream)));
        let stream = handshake
            .await?
            .map_err(|error| anyhow!(tls::reason(&error)))?;
        let peer = Peer::of(&stream, standing.trust_domain())?;
        Ok(Authenticated {
            stream: Box::new(stream),
            peer,
            standing,
        })
    }
}

struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsAcceptor")
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);
