//! Ports that other proxies connect to: accept → authenticate → authorize → forward, each
//! step made of the one before.

mod http;
mod tcp;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use signet_daemon::socket::{ConnectionLimit, Slot, Source, TcpConnection};
use signet_identity::tls::{self, Clients};
use signet_mesh::Side;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    accept::accept,
    cluster::{Cluster, Endpoint},
    config::{Inbound, Protocol},
    flow::{Downstream, End, Flow, Other},
    listener::{Ends, Listener},
    metrics::{Between, Party, Service as CalledService},
    peer::Peer,
    pool::{Dialer, Terms},
    port::{self, Thread},
    ports::Open,
    read_ahead::ReadAhead,
    reauthorize::Sources,
};

/// One inbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<Listener>,
    protocol: Protocol,
    /// The port number that policies see.
    policy_port: u16,
    tls: Tls,
    /// How many there may be at a time.
    handshakes: ConnectionLimit,
    /// The application.
    cluster: watch::Sender<Arc<Cluster>>,
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

impl port::Port for Port {
    type Config = Inbound;

    fn new(open: &Open<Inbound>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>> {
        let config = &open.config;
        let alpn: &[&[u8]] = if config.protocol.is_http() {
            &[b"h2", b"http/1.1"]
        } else {
            &[]
        };
        let sources = thread.sources.clone();
        let (identity, trust) = (sources.identity.clone(), sources.trust.clone());
        let tls = tls::server_config(identity, trust, Clients::Required, alpn)?;
        let listener = Listener::new(&config.name, sources, thread.tasks.clone(), ends)
            .observed(thread.observer.clone());
        Ok(Arc::new(Self {
            listener: Arc::new(listener),
            protocol: config.protocol,
            policy_port: config.policy_port,
            tls: Tls(tls.into()),
            handshakes: ConnectionLimit::new(MOST_HANDSHAKES, MOST_HANDSHAKES / 2),
            cluster: watch::Sender::new(Arc::new(cluster(open, thread))),
        }))
    }

    fn is_same(old: &Inbound, new: &Inbound) -> bool {
        old.listen == new.listen
            && old.protocol == new.protocol
            && old.policy_port == new.policy_port
    }

    fn lead(&self, open: &Open<Inbound>, thread: &Thread) -> anyhow::Result<()> {
        self.cluster.send_replace(Arc::new(cluster(open, thread)));
        Ok(())
    }

    /// Accepts from the first identity on until it is to drain.
    async fn run(self: Arc<Self>, socket: TcpListener, limit: usize) {
        // Of one address, half of the connections that have not shown who they are.
        let limit = ConnectionLimit::new(limit, limit.div_ceil(2));
        let handle = |connection, slot| Arc::clone(&self).carry(connection, slot);
        accept(&self.listener, socket, limit, handle).await;
    }

    fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl Port {
    /// The application, as it is in force.
    fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.cluster.borrow())
    }

    async fn carry(self: Arc<Self>, connection: TcpConnection, mut slot: Slot) {
        let started = Instant::now();
        let client = connection.peer;
        // What a handshake needs goes when it ends; the connection lives on.
        let authenticated = match Box::pin(self.authenticate(connection)).await {
            Ok(authenticated) => authenticated,
            Err(error) => {
                let why = format!("{error:#}").into();
                let end = End::Downstream(Downstream::NotAuthenticated(why));
                let from = || from(Party::default());
                let who = self.listener.carried(client, Other::Unknown, from);
                Flow::connection(who, started).end(end);
                return;
            }
        };
        slot.authenticated();
        let id = &authenticated.peer.leaf.id;
        let (peer, from) = (Other::Peer(id.to_string().into()), || {
            from(Party::of_id(id))
        });
        let who = self.listener.carried(client, peer, from);
        match self.protocol {
            Protocol::Tcp => {
                let flow = Flow::tcp(who, started, None);
                self.carry_tcp(authenticated, flow).await;
            }
            Protocol::Http | Protocol::Http2 => self.carry_http(authenticated, who).await,
        }
    }

    async fn authenticate(&self, connection: TcpConnection) -> anyhow::Result<Authenticated> {
        let slot = timeout(WAIT, self.handshakes.wait(Source::of(connection.peer)));
        let _slot = slot
            .await
            .context("too many handshakes of others, or of its own address")?;
        let sources = self.listener.sources.as_of_now();
        let handshake = timeout(
            HANDSHAKE,
            self.tls.0.accept(ReadAhead::new(connection.stream)),
        );
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

/// Whose calls a client of this kind makes.
fn from(client: Party) -> Between {
    Between {
        side: Side::Server,
        other: client,
        service: CalledService::default(),
    }
}

fn cluster(open: &Open<Inbound>, thread: &Thread) -> Cluster {
    let dialer = Dialer {
        address: open.config.forward.clone().into(),
        tls: None,
    };
    let (protocol, health) = (open.config.protocol, Arc::clone(&open.health));
    let (terms, tasks) = (Terms::default(), thread.tasks.clone());
    let endpoint = Endpoint::new(dialer, protocol, terms, health, tasks);
    Cluster::of_one(Arc::clone(endpoint.name()), endpoint)
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
