//! Local ports whose connections go, over mTLS, to a destination that must have one of
//! the stated SPIFFE IDs.

mod arrive;
mod http;
mod tcp;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use signet_daemon::socket::{ConnectionLimit, Slot, TcpConnection};
use signet_identity::{
    SpiffeId,
    tls::{self, Expect},
};
use signet_mesh::Side;
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::{
    accept::accept,
    cluster::{Cluster, Endpoint, Meters},
    config::{Connect, Outbound, PortProtocol, Protocol},
    flow::{Flow, Observer, Recorder},
    listener::{Ends, Listener},
    metrics::{Between, Party, Service},
    pool::{Address, Dialer, OwnConnections, Terms},
    port::{self, Thread},
    ports::Open,
    route::{Mesh, Router, Unknown},
};
use arrive::Arrived;

/// One outbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<Listener>,
    listen: SocketAddr,
    protocol: PortProtocol,
    /// Whether clients called where their connections were to go before they were redirected.
    original_destination: bool,
    /// Those that the proxy makes itself, and which are not to come here.
    own_connections: OwnConnections,
    /// The port that is called by who names none.
    usual_port: Option<u16>,
    router: watch::Sender<Arc<Router>>,
}

/// What a client called.
#[derive(Debug)]
struct Called {
    address: SocketAddr,
    /// If it begins with TLS, and wants a server by name.
    server_name: Option<String>,
}

impl port::Port for Port {
    type Config = Outbound;

    fn new(open: &Open<Outbound>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>> {
        let (config, router) = (&open.config, router(open, thread)?);
        let (sources, tasks) = (thread.sources.clone(), thread.tasks.clone());
        let (name, listen) = (&config.name, config.listen);
        let recorder = Recorder::new(name, Side::Client, listen, &thread.telling);
        let listener = Listener::new(recorder, sources, tasks, ends)
            .observed(thread.observer.clone())
            .within(&thread.overload);
        Ok(Arc::new(Self {
            listener: Arc::new(listener),
            listen: config.listen,
            protocol: config.protocol,
            original_destination: config.original_destination,
            own_connections: thread.clusters.own_connections().clone(),
            usual_port: config.connect.usual_port(),
            router: watch::Sender::new(Arc::new(router)),
        }))
    }

    fn is_same(old: &Outbound, new: &Outbound) -> bool {
        old.listen == new.listen
            && old.protocol == new.protocol
            && old.original_destination == new.original_destination
            && old.connect.usual_port() == new.connect.usual_port()
    }

    fn lead(&self, open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<()> {
        self.router.send_replace(Arc::new(router(open, thread)?));
        Ok(())
    }

    /// Accepts from the first identity on until it is to drain.
    async fn run(self: Arc<Self>, sockets: Vec<TcpListener>, limit: usize) {
        let port = Arc::clone(&self);
        self.listener.tasks.spawn(async move {
            let renew = || port.router().renew();
            port.listener.renew_connections(renew).await;
        });
        // Clients are on this machine and have one address; so it may have all.
        let limit = ConnectionLimit::new(limit, limit);
        let handle = |connection, slot| Arc::clone(&self).carry(connection, slot);
        accept(&self.listener, sockets, limit, handle).await;
    }

    fn meet(&self, _ports: &[Arc<Self>]) {}

    fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl Port {
    /// The router in force.
    fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router.borrow())
    }

    async fn carry(self: Arc<Self>, connection: TcpConnection, _slot: Slot) {
        let TcpConnection { stream, peer } = connection;
        let between = || Between::to(Party::default(), Service::default());
        let mut who = self.listener.carried(peer, self.router().other(), between);
        let started = Instant::now();
        // Each has as much room as it needs, and not as much as the other.
        match Box::pin(self.arrive(stream)).await {
            Ok(Arrived::Requests(stream, called)) => {
                who.called = called;
                Box::pin(self.carry_http(stream, called, who)).await;
            }
            Ok(Arrived::Bytes(stream, called)) => {
                if let Some(called) = &called {
                    who.called = Some(called.address);
                    who.server_name = called.server_name.as_deref().map(Into::into);
                }
                let mut flow = Flow::connection(who, started);
                let end = Box::pin(self.carry_tcp(stream, called, &mut flow)).await;
                flow.end(end);
            }
            Err(end) => Flow::connection(who, started).end(end),
        }
    }
}

fn router(open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<Router> {
    let config = &open.config;
    let (sources, tasks) = (thread.sources.clone(), thread.tasks.clone());
    let (address, expected) = match &config.connect {
        Connect::Fixed { address, expect } => (address, expect),
        Connect::Mesh { port, unknown } => {
            let unknown = match config.original_destination {
                true => Unknown::of_redirected(unknown, thread),
                false => Unknown::of_others(unknown, thread),
            };
            let mesh = Mesh::new(thread, *port, unknown);
            return Ok(Router::Mesh(Box::new(mesh)));
        }
    };
    let expect = Expect::Exactly(expected.clone());
    let protocol = match config.protocol {
        PortProtocol::Known(protocol) => protocol,
        PortProtocol::Tls | PortProtocol::Auto => Protocol::Tcp,
    };
    let alpn = protocol.alpn();
    let tls = tls::client_config(Some(sources.identity), sources.trust, expect, alpn)?;
    let dialer = Dialer::new(destination(address, thread)?, Some(tls.into()));
    let health = Arc::clone(&open.health);
    let terms = Terms::default();
    let endpoint = Endpoint::new(dialer, protocol, terms, health, tasks).expecting(expected);
    let cluster = Cluster::of_one(address.as_str().into(), endpoint);
    let cluster = match &thread.observer {
        None => cluster,
        Some(observer) => cluster.counted(meters(observer, address, expected)),
    };
    Ok(Router::Fixed(Arc::new(cluster)))
}

/// Where `host:port` is.
fn destination(text: &str, thread: &Thread) -> anyhow::Result<Address> {
    if let Ok(address) = text.parse() {
        return Ok(Address::Tcp(address));
    }
    let parts = text.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.with_context(|| format!("`{text}` is not host:port"))?;
    let lookup = thread.clusters.names().follow(&host.to_lowercase(), port);
    Ok(Address::Name(lookup))
}

/// Who counts calls of this one destination.
fn meters(observer: &Observer, address: &str, expected: &[SpiffeId]) -> Meters {
    let service = Service {
        host: Some(address.to_owned()),
        name: Some(address.to_owned()),
        namespace: None,
    };
    Meters::of_service(observer, &service, vec![Party::one_of(expected)])
}
