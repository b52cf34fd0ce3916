//! Ports that take tunnels (HBONE): each stream of a connection is a `CONNECT` to the address of an
//! application, and what it carries is judged as if it had come to the inbound port of that one.

use std::{convert::Infallible, io::Cursor, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{Method, Request, Response};
use hyper::{
    body::Incoming,
    ext,
    server::conn::http2,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use signet_daemon::socket::{Slot, TcpConnection};
use signet_mesh::Denied;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, join, split},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{Authenticated, Leads, Port, Reached, Reaches};
use crate::{
    config::{PortProtocol, Protocol},
    flow::{Denial, Downstream, End, Flow, Other, Policy, Routing, Who, whole},
    http::{kind::Kind, outgoing::Outgoing, reply::refuse},
    metrics::{Between, Party, Security},
    peeked::SNIFF,
    peer::Peer,
    reauthorize::Sources,
    sniff::{self, Begins},
};

/// The connection of a peer whose streams are tunnels.
struct Outer {
    port: Arc<Port>,
    peer: Box<Peer>,
    /// Since before the handshake, so that no change is missed.
    sources: Sources,
    /// How many tunnels there may be more.
    room: Arc<Semaphore>,
}

/// A tunnel that may be judged.
struct Inner {
    port: Arc<Port>,
    application: Reaches,
    peer: Box<Peer>,
    sources: Sources,
    started: Instant,
    room: OwnedSemaphorePermit,
}

impl Port {
    /// Carries the tunnels of one connection.
    pub(super) async fn carry_tunnels(
        self: Arc<Self>,
        connection: TcpConnection,
        mut slot: Slot,
        room: Arc<Semaphore>,
    ) {
        let started = Instant::now();
        let client = connection.peer;
        let sources = self.listener.sources.as_of_now();
        let local = crate::original::local(&connection.stream);
        let local = local.unwrap_or(self.listen);
        let shaken = Box::pin(self.handshaken(connection, local, &sources)).await;
        let proven = match shaken {
            Ok(proven) => proven,
            Err(end) => {
                let from = || Between::from(Party::default(), Security::Unknown);
                let who = self.listener.carried(client, Other::Unknown, from);
                return Flow::connection(who, started).end(end);
            }
        };
        slot.authenticated();
        let outer = Arc::new(Outer {
            peer: proven.peer,
            sources: sources.clone(),
            room,
            port: self,
        });
        let service = service_fn(|request| Arc::clone(&outer).answer(request));
        let server = server().serve_connection(TokioIo::new(proven.stream), service);
        let mut connection = pin!(server);
        let lost = sources.lost(&outer.peer, |_model| None);
        let (mut lost, ends) = (pin!(lost), &outer.port.listener.ends);
        let mut draining = false;
        loop {
            tokio::select! {
                // Each tunnel has its own line.
                _ended = connection.as_mut() => return,
                // The tunnels are asked about, too, and say so.
                _lost = lost.as_mut() => return,
                () = ends.stopping() => return,
                () = ends.drain.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    /// The application at `called` and its port for this client, if tunnels may lead to it.
    fn behind(&self, called: SocketAddr, client: SocketAddr) -> Option<(Arc<Self>, Reaches)> {
        let Leads::Tunnels(ports) = &self.leads else {
            return None;
        };
        let ports = ports.borrow();
        ports.iter().find_map(|port| {
            let application = port.leads_to(called, client)?;
            Some((Arc::clone(port), application))
        })
    }

    /// The application at `called` for this client, if this port leads to it.
    fn leads_to(&self, called: SocketAddr, client: SocketAddr) -> Option<Reaches> {
        match &self.leads {
            Leads::To(application, port) if *port == called.port() => {
                Some(Reaches::OfPort(application.subscribe()))
            }
            Leads::Originals(originals) => originals.of(called, client).map(Reaches::Original),
            Leads::To(..) | Leads::Tunnels(_) => None,
        }
    }
}

impl Outer {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Outgoing>, Infallible> {
        let inner = match self.port.listener.overload.objection() {
            None => self.inner(&request, Instant::now()),
            Some(end) => Err(end),
        };
        let inner = match inner {
            Ok(inner) => inner,
            Err(end) => return Ok(self.refused(end)),
        };
        let (client, protocol) = (upgrade::on(request), inner.port.protocol);
        Ok(match protocol {
            PortProtocol::Known(Protocol::Tcp) | PortProtocol::Tls => inner.bytes(client).await,
            PortProtocol::Known(protocol) => inner.requests(client, Some(protocol)),
            PortProtocol::Auto => inner.requests(client, None),
        })
    }

    fn refused(&self, end: End) -> Response<Outgoing> {
        let from = || Between::from(Party::default(), Security::MutualTls);
        let (listener, client) = (&self.port.listener, self.peer.address);
        let who = listener.carried(client, self.other(), from);
        refuse(end, Kind::Http, Flow::connection(who, Instant::now()))
    }

    fn other(&self) -> Other {
        let id = self.peer.id();
        id.map_or(Other::Unknown, |id| Other::Peer(id.to_string().into()))
    }

    /// What a request asks for.
    fn inner(&self, request: &Request<Incoming>, started: Instant) -> Result<Inner, End> {
        let is_tunnel = request.method() == Method::CONNECT
            && request.extensions().get::<ext::Protocol>().is_none();
        if !is_tunnel {
            let why = "this port takes CONNECT alone (HBONE)";
            return Err(End::Downstream(Downstream::NotSupported(why)));
        }
        let authority = request.uri().authority().map_or("", |it| it.as_str());
        let called: SocketAddr = authority.parse().map_err(|_not_one| {
            End::malformed("a tunnel is to an address and port, and its authority is another")
        })?;
        let called = SocketAddr::new(called.ip().to_canonical(), called.port());
        let nobody = |why: &str| End::Routing(Routing::NoService(format!("{called} {why}").into()));
        if called.ip() != self.peer.local.ip() {
            return Err(nobody("is not the address that the tunnel came to"));
        }
        let Some((port, application)) = self.port.behind(called, self.peer.address) else {
            return Err(nobody("is no application behind this proxy"));
        };
        let mut peer = self.peer.clone();
        peer.local = called;
        if let Some(why) = peer.objection(&self.sources.model()) {
            let denial = Denial::of_proxy("proxy:mtls", why);
            return Err(End::Policy(Policy::Denied(denial)));
        }
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room = room.map_err(|_full| {
            End::Routing(Routing::Overloaded("there are too many tunnels".into()))
        })?;
        Ok(Inner {
            port,
            application,
            peer,
            sources: self.sources.clone(),
            started,
            room,
        })
    }
}

impl Inner {
    /// Bytes are judged before the tunnel is there, so that its client is told why it is not.
    async fn bytes(self, client: OnUpgrade) -> Response<Outgoing> {
        let Self {
            port,
            application,
            peer,
            sources,
            started,
            room,
        } = self;
        let mut flow = Flow::tcp(port.who(&peer, peer.address), started, None);
        let authenticated = Authenticated {
            stream: client,
            peer,
            sources,
        };
        let reached = Reached {
            application,
            protocol: Protocol::Tcp,
        };
        let authorized = port.authorize(authenticated, &mut flow, Denied::public_reason);
        match authorized.await {
            Err(end) => refuse(end, Kind::Http, flow),
            Ok(authorized) => {
                let tasks = port.listener.tasks.clone();
                tasks.spawn(async move {
                    let end = match authorized.connected().await {
                        Ok(authorized) => port.forward_tcp(authorized, &reached, &mut flow).await,
                        Err(end) => end,
                    };
                    flow.end(end);
                    drop(room);
                });
                Response::new(Outgoing::none())
            }
        }
    }

    /// Requests are judged one by one. What they are spoken in is `protocol`, or else what the
    /// first bytes are.
    fn requests(self, client: OnUpgrade, protocol: Option<Protocol>) -> Response<Outgoing> {
        let tasks = self.port.listener.tasks.clone();
        tasks.spawn(async move {
            let stream = connected(client).await;
            let who = self.port.who(&self.peer, self.peer.address);
            let stream = match stream {
                Ok(stream) => stream,
                Err(end) => return Flow::connection(who, self.started).end(end),
            };
            match protocol {
                Some(protocol) => self.serve(stream, protocol, who).await,
                None => {
                    let (begins, stream) = sniffed(stream).await;
                    let protocol = match begins {
                        Begins::Http1 => Protocol::Http,
                        Begins::Http2 => Protocol::Http2,
                        Begins::Tls | Begins::Other => Protocol::Tcp,
                    };
                    self.serve(stream, protocol, who).await;
                }
            }
        });
        Response::new(Outgoing::none())
    }

    async fn serve<S>(self, stream: S, protocol: Protocol, who: Who)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let authenticated = Authenticated {
            stream,
            peer: self.peer,
            sources: self.sources,
        };
        let reached = Reached {
            application: self.application,
            protocol,
        };
        let served = self.port.serve(authenticated, reached, who, self.started);
        served.await;
        drop(self.room);
    }
}

/// The bytes of a tunnel, once its client was told that it may send them.
pub(super) async fn connected(client: OnUpgrade) -> Result<TokioIo<upgrade::Upgraded>, End> {
    let broken = |error: hyper::Error| End::Downstream(Downstream::Broken(whole(&error)));
    match timeout(SWITCH, client).await {
        Ok(stream) => stream.map(TokioIo::new).map_err(broken),
        Err(_elapsed) => Err(End::Downstream(Downstream::Silent)),
    }
}

/// What a stream begins with, and the whole of it.
async fn sniffed<S>(mut stream: S) -> (Begins, impl AsyncRead + AsyncWrite + Unpin + Send + 'static)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut seen = BytesMut::with_capacity(LONGEST_BEGINNING);
    let looking = timeout(SNIFF, async {
        loop {
            let more = stream.read_buf(&mut seen).await.unwrap_or(0);
            match sniff::begins(&seen) {
                Some(begins) => return begins,
                None if more == 0 || seen.len() >= LONGEST_BEGINNING => return Begins::Other,
                None => {}
            }
        }
    });
    let begins = looking.await.unwrap_or(Begins::Other);
    let (read, write) = split(stream);
    (begins, join(Cursor::new(seen).chain(read), write))
}

fn server() -> http2::Builder<TokioExecutor> {
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * 16);
    server
}

/// How long a client may take to read the head after which it may send.
const SWITCH: Duration = Duration::from_secs(60);
const PING: Duration = Duration::from_secs(30);
/// On one connection, as ztunnel has it.
const STREAMS: u32 = 200;
const HEADER_BYTES: u32 = 64 * 1024;
/// That of a connection is larger, so that one tunnel nobody reads does not stop the others.
const WINDOW: u32 = 1 << 20;
const LONGEST_BEGINNING: usize = 8 * 1024;
