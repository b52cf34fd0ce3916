//! Local ports whose connections go, over mTLS, to a destination that must have one of
//! the stated SPIFFE IDs.

mod http;
mod tcp;

use std::sync::Arc;

use signet_daemon::socket::{ConnectionLimit, Slot, TcpConnection};
use signet_identity::{
    SpiffeId,
    tls::{self, Expect},
};
use signet_mesh::Side;
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::{
    accept::accept,
    cluster::{Cluster, Endpoint},
    config::{Connect, Outbound, Protocol},
    flow::{Flow, Observer, Other},
    listener::{Ends, Listener},
    metrics::{Between, Party, Service as CalledService},
    pool::{Address, Dialer, Terms},
    port::{self, Thread},
    ports::Open,
    route::{Mesh, Router},
};

/// One outbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<Listener>,
    protocol: Protocol,
    router: watch::Sender<Arc<Router>>,
}

impl port::Port for Port {
    type Config = Outbound;

    fn new(open: &Open<Outbound>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>> {
        let (config, router) = (&open.config, router(open, thread)?);
        let (sources, tasks) = (thread.sources.clone(), thread.tasks.clone());
        let listener =
            Listener::new(&config.name, sources, tasks, ends).observed(thread.observer.clone());
        Ok(Arc::new(Self {
            listener: Arc::new(listener),
            protocol: config.protocol,
            router: watch::Sender::new(Arc::new(router)),
        }))
    }

    fn is_same(old: &Outbound, new: &Outbound) -> bool {
        old.listen == new.listen && old.protocol == new.protocol
    }

    fn lead(&self, open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<()> {
        self.router.send_replace(Arc::new(router(open, thread)?));
        Ok(())
    }

    /// Accepts from the first identity on until it is to drain.
    async fn run(self: Arc<Self>, socket: TcpListener, limit: usize) {
        let port = Arc::clone(&self);
        self.listener.tasks.spawn(async move {
            let renew = || port.router().renew();
            port.listener.renew_connections(renew).await;
        });
        // Clients are on this machine and have one address; so it may have all.
        let limit = ConnectionLimit::new(limit, limit);
        let handle = |connection, slot| Arc::clone(&self).carry(connection, slot);
        accept(&self.listener, socket, limit, handle).await;
    }

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
        let destination = Other::Destination(self.router().name());
        let between = || to(Party::default(), CalledService::default());
        let who = self.listener.carried(peer, destination, between);
        match self.protocol {
            Protocol::Tcp => {
                let router = self.router();
                let flow = Flow::tcp(who, Instant::now(), router.meter());
                drop(router);
                self.carry_tcp(stream, flow).await;
            }
            Protocol::Http | Protocol::Http2 => self.carry_http(stream, who).await,
        }
    }
}

fn router(open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<Router> {
    let config = &open.config;
    let (sources, tasks) = (thread.sources.clone(), thread.tasks.clone());
    let (address, expected) = match &config.connect {
        Connect::Fixed { address, expect } => (address, expect),
        Connect::Mesh { port } => {
            return Ok(Router::Mesh(Mesh::new(thread, *port)));
        }
    };
    let expect = Expect::Exactly(expected.clone());
    let alpn = config.protocol.alpn();
    let tls = tls::client_config(Some(sources.identity), sources.trust, expect, alpn)?;
    let dialer = Dialer {
        address: Address::Name(address.as_str().into()),
        tls: Some(tls),
    };
    let health = Arc::clone(&open.health);
    let terms = Terms::default();
    let endpoint = Endpoint::new(dialer, config.protocol, terms, health, tasks);
    let cluster = Cluster::of_one(address.as_str().into(), endpoint);
    let cluster = match &thread.observer {
        None => cluster,
        Some(observer) => counted(cluster, observer, address, expected),
    };
    Ok(Router::Fixed(Arc::new(cluster)))
}

/// The same cluster, whose calls are counted. If it can have but one ID, it has that.
fn counted(cluster: Cluster, observer: &Observer, address: &str, expected: &[SpiffeId]) -> Cluster {
    let service = CalledService {
        host: Some(address.to_owned()),
        name: Some(address.to_owned()),
        namespace: None,
    };
    let party = match expected {
        [id] => Party::of_id(id),
        [] | [_, _, ..] => Party::default(),
    };
    let member = observer.meter(to(party, service.clone()));
    let of_none = observer.meter(to(Party::default(), service));
    cluster.counted(of_none, vec![member])
}

/// Calls of the proxy's workload to this one.
fn to(other: Party, service: CalledService) -> Between {
    Between {
        side: Side::Client,
        other,
        service,
    }
}
