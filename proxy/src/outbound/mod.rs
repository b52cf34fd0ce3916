//! Local ports whose connections go, over mTLS, to a destination that must have one of
//! the stated SPIFFE IDs.

mod http;
mod tcp;

use std::sync::Arc;

use signet_daemon::socket::{ConnectionLimit, Slot, TcpConnection};
use signet_identity::tls::{self, Expect};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    accept::accept,
    cluster::Cluster,
    config::{Outbound, Protocol},
    flow::{Flow, Other},
    listener::{Ends, Listener},
    pool::{Address, Dialer},
    port::{self, Thread},
    ports::Open,
};

/// One outbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<Listener>,
    protocol: Protocol,
}

impl port::Port for Port {
    type Config = Outbound;

    fn new(open: &Open<Outbound>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>> {
        let (config, cluster) = (&open.config, cluster(open, thread)?);
        let (sources, tasks) = (thread.sources.clone(), thread.tasks.clone());
        let listener = Listener::new(&config.name, sources, cluster, tasks, ends);
        Ok(Arc::new(Self {
            listener: Arc::new(listener),
            protocol: config.protocol,
        }))
    }

    fn is_same(old: &Outbound, new: &Outbound) -> bool {
        old.listen == new.listen && old.protocol == new.protocol
    }

    fn lead(&self, open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<()> {
        self.listener.put(cluster(open, thread)?);
        Ok(())
    }

    /// Accepts from the first identity on until it is to drain.
    async fn run(self: Arc<Self>, socket: TcpListener, limit: usize) {
        let renewing = Arc::clone(&self.listener).renew_connections();
        self.listener.tasks.spawn(renewing);
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
    async fn carry(self: Arc<Self>, connection: TcpConnection, _slot: Slot) {
        let TcpConnection { stream, peer } = connection;
        let destination = Other::Destination(self.listener.cluster().name());
        let who = self.listener.who(peer, destination);
        match self.protocol {
            Protocol::Tcp => {
                let flow = Flow::connection(who, Instant::now());
                self.carry_tcp(stream, flow).await;
            }
            Protocol::Http | Protocol::Http2 => self.carry_http(stream, who).await,
        }
    }
}

fn cluster(open: &Open<Outbound>, thread: &Thread) -> anyhow::Result<Cluster> {
    let config = &open.config;
    let alpn: &[&[u8]] = match config.protocol {
        Protocol::Http => &[b"http/1.1"],
        Protocol::Http2 => &[b"h2"],
        Protocol::Tcp => &[],
    };
    let identity = Some(thread.sources.identity.clone());
    let expect = Expect::Exactly(config.expect.clone());
    let tls = tls::client_config(identity, thread.sources.trust.clone(), expect, alpn)?;
    let dialer = Dialer {
        address: Address::Name(config.connect.as_str().into()),
        tls: Some(tls),
    };
    let (health, tasks) = (Arc::clone(&open.health), thread.tasks.clone());
    Ok(Cluster::new(dialer, config.protocol, health, tasks))
}
