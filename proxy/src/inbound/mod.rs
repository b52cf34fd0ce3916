//! Ports that other proxies connect to: accept → authenticate → authorize → forward, each
//! step made of the one before.
//!
//! Whether a client has to prove who it is, PeerAuthentication says for each port of the
//! application; one that need not, and does not, is nobody to the policies.

mod application;
mod arrive;
mod check;
mod http;
mod tcp;
mod tunnels;

use std::{net::SocketAddr, sync::Arc};

use signet_daemon::socket::{ConnectionLimit, Slot, TcpConnection};
use signet_identity::tls::{self, Clients};
use signet_mesh::Side;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    accept::accept,
    admission::Admission,
    cluster::Cluster,
    config::{Forward, Inbound, PortProtocol, Protocol},
    flow::{Flow, Other, Recorder, Who},
    listener::{Ends, Listener},
    metrics::{Between, Party, Security},
    peer::Peer,
    port::{self, Thread},
    ports::Open,
    reauthorize::Sources,
};
use application::{Application, Originals};
use arrive::Arrived;

/// One inbound port on one thread.
#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<Listener>,
    listen: SocketAddr,
    protocol: PortProtocol,
    /// What is known of a request before policy is asked.
    admission: Arc<Admission>,
    tls: Tls,
    /// How many there may be at a time.
    handshakes: ConnectionLimit,
    leads: Leads,
}

/// Where a port leads.
#[derive(Debug)]
enum Leads {
    /// To one application, and the port number that policies see.
    To(watch::Sender<Arc<Application>>, u16),
    /// To whatever listens where the client wanted to go.
    Originals(Originals),
    /// To the applications of these ports.
    Tunnels(watch::Sender<Vec<Arc<Port>>>),
}

/// A connection whose client has proven who it is, or need not.
#[derive(Debug)]
struct Authenticated<S> {
    stream: S,
    /// In a place of its own, as the stream is.
    peer: Box<Peer>,
    /// Since before the handshake, so that no change is missed.
    sources: Sources,
}

/// What a connection has reached, and how that is spoken to.
#[derive(Debug)]
struct Reached {
    application: Reaches,
    protocol: Protocol,
}

/// Which application a connection has reached.
#[derive(Debug)]
enum Reaches {
    /// The one that its port leads to, which may change while it lives.
    OfPort(watch::Receiver<Arc<Application>>),
    /// This one.
    Original(Arc<Application>),
}

impl port::Port for Port {
    type Config = Inbound;

    fn new(open: &Open<Inbound>, thread: &Thread, ends: Ends) -> anyhow::Result<Arc<Self>> {
        let config = &open.config;
        let alpn: &[&[u8]] = match config.protocol {
            _ if config.forward == Forward::Tunnels => &[b"h2"],
            PortProtocol::Known(Protocol::Tcp) | PortProtocol::Tls => &[],
            PortProtocol::Known(Protocol::Http | Protocol::Http2) | PortProtocol::Auto => {
                &[b"h2", b"http/1.1"]
            }
        };
        let sources = thread.sources.clone();
        let (identity, trust) = (sources.identity.clone(), sources.trust.clone());
        let tls = tls::server_config(identity, trust, Clients::Required, alpn)?;
        let (name, listen) = (&config.name, config.listen);
        let recorder = Recorder::new(name, Side::Server, listen, &thread.telling);
        let listener = Listener::new(recorder, sources, thread.tasks.clone(), ends)
            .observed(thread.observer.clone())
            .within(&thread.overload);
        let leads = match &config.forward {
            Forward::To {
                target,
                policy_port,
            } => {
                let application = Application::new(target, &open.health, &thread.tasks);
                Leads::To(watch::Sender::new(Arc::new(application)), *policy_port)
            }
            Forward::Original { never, mode } => {
                let never = never.iter().copied().chain(thread.admin_port).collect();
                let (name, tasks) = (&listener.name, &thread.tasks);
                Leads::Originals(Originals::new(name, never, *mode, tasks))
            }
            Forward::Tunnels => Leads::Tunnels(watch::Sender::default()),
        };
        Ok(Arc::new(Self {
            listener: Arc::new(listener),
            listen: config.listen,
            protocol: config.protocol,
            admission: Arc::clone(&thread.admission),
            tls: Tls(tls.into()),
            handshakes: ConnectionLimit::new(MOST_HANDSHAKES, MOST_HANDSHAKES / 2),
            leads,
        }))
    }

    fn is_same(old: &Inbound, new: &Inbound) -> bool {
        let leads = match (&old.forward, &new.forward) {
            (
                Forward::To { policy_port, .. },
                Forward::To {
                    policy_port: new, ..
                },
            ) => policy_port == new,
            (old, new) => old == new,
        };
        old.listen == new.listen && old.protocol == new.protocol && leads
    }

    fn lead(&self, open: &Open<Inbound>, thread: &Thread) -> anyhow::Result<()> {
        if let (Leads::To(leads, _), Forward::To { target, .. }) =
            (&self.leads, &open.config.forward)
        {
            let application = Application::new(target, &open.health, &thread.tasks);
            leads.send_replace(Arc::new(application));
        }
        Ok(())
    }

    /// Tunnels lead to the port of one application before they lead to any.
    fn meet(&self, ports: &[Arc<Self>]) {
        let Leads::Tunnels(inner) = &self.leads else {
            return;
        };
        let rank = |port: &Arc<Self>| match port.leads {
            Leads::To(..) => 0,
            Leads::Originals(_) | Leads::Tunnels(_) => 1,
        };
        let applications = ports.iter();
        let applications = applications.filter(|port| !matches!(port.leads, Leads::Tunnels(_)));
        let mut applications: Vec<_> = applications.cloned().collect();
        applications.sort_by_key(|port| (rank(port), Arc::clone(&port.listener.name)));
        inner.send_replace(applications);
    }

    /// Accepts from the first identity on until it is to drain.
    async fn run(self: Arc<Self>, sockets: Vec<TcpListener>, limit: usize) {
        if let Leads::Tunnels(_) = self.leads {
            let room = Arc::new(Semaphore::new(limit));
            let limit = ConnectionLimit::new(limit, limit.div_ceil(2));
            let handle = |connection, slot| {
                Arc::clone(&self).carry_tunnels(connection, slot, Arc::clone(&room))
            };
            return accept(&self.listener, sockets, limit, handle).await;
        }
        // Of one address, half of the connections that have not shown who they are.
        let limit = ConnectionLimit::new(limit, limit.div_ceil(2));
        let handle = |connection, slot| Arc::clone(&self).carry(connection, slot);
        accept(&self.listener, sockets, limit, handle).await;
    }

    fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl Reached {
    /// The way to it, as it is in force.
    fn cluster(&self) -> Arc<Cluster> {
        match &self.application {
            Reaches::OfPort(application) => application.borrow().cluster(self.protocol),
            Reaches::Original(application) => application.cluster(self.protocol),
        }
    }
}

impl Port {
    async fn carry(self: Arc<Self>, connection: TcpConnection, mut slot: Slot) {
        let started = Instant::now();
        let client = connection.peer;
        // What a handshake needs goes when it ends; the connection lives on.
        match Box::pin(self.arrive(connection)).await {
            Ok(Arrived::Mutual(authenticated, reached)) => {
                slot.authenticated();
                let who = self.who(&authenticated.peer, client);
                self.serve(authenticated, reached, who, started).await;
            }
            // Nobody has shown who it is: it goes on counting against its address.
            Ok(Arrived::Plain(authenticated, reached)) => {
                let from = || Between::from(Party::default(), Security::None);
                let who = Who {
                    destination_port: Some(authenticated.peer.local.port()),
                    ..self.listener.carried(client, Other::Plaintext, from)
                };
                self.serve(authenticated, reached, who, started).await;
            }
            Err(end) => {
                let from = || Between::from(Party::default(), Security::Unknown);
                let who = self.listener.carried(client, Other::Unknown, from);
                Flow::connection(who, started).end(end);
            }
        }
    }

    /// Who a connection is whose client has proven it.
    fn who(&self, peer: &Peer, client: SocketAddr) -> Who {
        let id = peer.id();
        let from = || {
            let client = id.map(Party::of_id).unwrap_or_default();
            Between::from(client, Security::MutualTls)
        };
        let other = id.map_or(Other::Unknown, |id| Other::Peer(id.to_string().into()));
        Who {
            destination_port: Some(peer.local.port()),
            ..self.listener.carried(client, other, from)
        }
    }

    async fn serve<S>(
        self: Arc<Self>,
        authenticated: Authenticated<S>,
        reached: Reached,
        who: Who,
        started: Instant,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Each has as much room as it needs, and not as much as the other.
        match reached.protocol {
            Protocol::Tcp => {
                let mut flow = Flow::tcp(who, started, None);
                let carried = Box::pin(self.carry_tcp(authenticated, &reached, &mut flow));
                let end = carried.await;
                flow.end(end);
            }
            Protocol::Http | Protocol::Http2 => {
                Box::pin(self.carry_http(authenticated, reached, who)).await;
            }
        }
    }
}

struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsAcceptor")
    }
}

/// At a time, on one port and thread; of one address, half of them.
const MOST_HANDSHAKES: usize = 512;
