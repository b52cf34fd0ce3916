//! From a connection to a client that has proven who it is, or need not.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, anyhow};
use signet_daemon::socket::{Source, TcpConnection};
use signet_identity::tls;
use signet_mesh::MtlsMode;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::{Authenticated, Leads, Port, Reached, Reaches};
use crate::{
    config::{PortProtocol, Protocol},
    flow::{Downstream, End, Routing},
    original,
    peeked::Peeked,
    peer::Peer,
    read_ahead::ReadAhead,
    reauthorize::Sources,
    sniff::Begins,
};

/// A connection that may be judged.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Over mutual TLS; its stream is in a place of its own, as it is handed on from step to step.
    Mutual(Authenticated<Box<TlsStream<ReadAhead>>>, Reached),
    /// In plaintext.
    Plain(Authenticated<Peeked>, Reached),
}

/// A client whose handshake is done.
pub(super) struct Proven {
    pub(super) stream: Box<TlsStream<ReadAhead>>,
    pub(super) peer: Box<Peer>,
}

/// What is known before the first byte.
struct Called {
    /// Our address, and the port of the application.
    local: SocketAddr,
    application: Reaches,
    sources: Sources,
}

impl Port {
    /// Finds out what a client has reached, and lets it prove who it is.
    ///
    /// # Errors
    /// It has not done so, or has reached nothing.
    pub(super) async fn arrive(&self, connection: TcpConnection) -> Result<Arrived, End> {
        let called = self.called(&connection)?;
        let port = called.local.port();
        match called.sources.model().peer_authentication.mode(port) {
            MtlsMode::Strict => {
                let proven = self.handshaken(connection, called.local, &called.sources);
                Ok(self.mutual(proven.await?, called))
            }
            MtlsMode::Disable => self.plain(connection, called).await,
            MtlsMode::Permissive => self.either(connection, called).await,
        }
    }

    fn called(&self, connection: &TcpConnection) -> Result<Called, End> {
        let TcpConnection { stream, peer } = connection;
        let sources = self.listener.sources.as_of_now();
        let (local, application) = match &self.leads {
            Leads::To(application, policy_port) => {
                let ip = original::local(stream).map_err(gone)?.ip();
                let application = Reaches::OfPort(application.subscribe());
                (SocketAddr::new(ip, *policy_port), application)
            }
            Leads::Originals(originals) => {
                let called = original::destination(stream).map_err(gone)?;
                let application = match called.port() == self.listen.port() {
                    true => None,
                    false => originals.of(called, *peer),
                };
                let application = application.ok_or_else(|| {
                    let why = format!("{called} is a port of the proxy itself, and no application");
                    End::Routing(Routing::NoService(why.into()))
                })?;
                (called, Reaches::Original(application))
            }
            Leads::Tunnels(_) => {
                let why = "a port for tunnels has no application of its own";
                return Err(End::Routing(Routing::NoService(why.into())));
            }
        };
        Ok(Called {
            local,
            application,
            sources,
        })
    }

    /// A client that may come either way: mutual TLS if it begins TLS, else plaintext.
    async fn either(&self, connection: TcpConnection, called: Called) -> Result<Arrived, End> {
        let TcpConnection { stream, peer } = connection;
        let slot = self.handshakes.wait(Source::of(peer));
        let slot = timeout(WAIT, slot).await.context(TOO_MANY);
        let slot = slot.map_err(not_authenticated)?;
        let mut peeked = Peeked::new(stream);
        let begins = match self.protocol {
            // Whoever speaks HTTP speaks first, in plaintext too.
            PortProtocol::Known(Protocol::Http | Protocol::Http2) => {
                peeked.begins_within(HANDSHAKE).await
            }
            PortProtocol::Known(Protocol::Tcp) | PortProtocol::Tls | PortProtocol::Auto => {
                peeked.begins().await
            }
        };
        match begins.map_err(gone)? {
            Begins::Tls => {
                let stream = peeked.into_read_ahead();
                let proven = self
                    .authenticate(stream, called.local, &called.sources)
                    .await;
                drop(slot);
                Ok(self.mutual(proven.map_err(not_authenticated)?, called))
            }
            Begins::Http1 => Ok(self.in_plaintext(peeked, peer, Protocol::Http, called)),
            Begins::Http2 => Ok(self.in_plaintext(peeked, peer, Protocol::Http2, called)),
            Begins::Other => Ok(self.in_plaintext(peeked, peer, Protocol::Tcp, called)),
        }
    }

    async fn plain(&self, connection: TcpConnection, called: Called) -> Result<Arrived, End> {
        let TcpConnection { stream, peer } = connection;
        let mut peeked = Peeked::new(stream);
        let found = match self.protocol {
            PortProtocol::Known(_) | PortProtocol::Tls => Protocol::Tcp,
            PortProtocol::Auto => match peeked.begins().await.map_err(gone)? {
                Begins::Http1 => Protocol::Http,
                Begins::Http2 => Protocol::Http2,
                Begins::Tls | Begins::Other => Protocol::Tcp,
            },
        };
        Ok(self.in_plaintext(peeked, peer, found, called))
    }

    /// `found` is what its first bytes are, if that is to count.
    fn in_plaintext(
        &self,
        stream: Peeked,
        client: SocketAddr,
        found: Protocol,
        called: Called,
    ) -> Arrived {
        let Called {
            local,
            application,
            sources,
        } = called;
        let protocol = match self.protocol {
            PortProtocol::Known(protocol) => protocol,
            PortProtocol::Tls => Protocol::Tcp,
            PortProtocol::Auto => found,
        };
        let peer = Box::new(Peer::plain(client, local, sources.trust_domain()));
        let authenticated = Authenticated {
            stream,
            peer,
            sources,
        };
        let reached = Reached {
            application,
            protocol,
        };
        Arrived::Plain(authenticated, reached)
    }

    /// Lets a client prove who it is; `local` is what it has reached.
    ///
    /// # Errors
    /// It has not done so.
    pub(super) async fn handshaken(
        &self,
        connection: TcpConnection,
        local: SocketAddr,
        sources: &Sources,
    ) -> Result<Proven, End> {
        let slot = self.handshakes.wait(Source::of(connection.peer));
        let slot = timeout(WAIT, slot).await.context(TOO_MANY);
        let _slot = slot.map_err(not_authenticated)?;
        let stream = ReadAhead::new(connection.stream);
        let proven = self.authenticate(stream, local, sources).await;
        proven.map_err(not_authenticated)
    }

    async fn authenticate(
        &self,
        stream: ReadAhead,
        local: SocketAddr,
        sources: &Sources,
    ) -> anyhow::Result<Proven> {
        let handshake = timeout(HANDSHAKE, self.tls.0.accept(stream));
        let stream = handshake
            .await
            .context("the handshake took too long")?
            .map_err(|error| anyhow!(tls::reason(&error)))?;
        let peer = Box::new(Peer::of(&stream, local, sources.trust_domain())?);
        Ok(Proven {
            stream: Box::new(stream),
            peer,
        })
    }

    fn mutual(&self, proven: Proven, called: Called) -> Arrived {
        let Proven { stream, peer } = proven;
        // What other proxies speak inside of their TLS, they say in its handshake (RFC 7301).
        let protocol = match (self.protocol, stream.get_ref().1.alpn_protocol()) {
            (PortProtocol::Known(protocol), _) => protocol,
            (PortProtocol::Auto, Some(b"h2")) => Protocol::Http2,
            (PortProtocol::Auto, Some(b"http/1.1")) => Protocol::Http,
            (PortProtocol::Auto, _) | (PortProtocol::Tls, _) => Protocol::Tcp,
        };
        let reached = Reached {
            application: called.application,
            protocol,
        };
        let authenticated = Authenticated {
            stream,
            peer,
            sources: called.sources,
        };
        Arrived::Mutual(authenticated, reached)
    }
}

fn gone(error: io::Error) -> End {
    End::Downstream(Downstream::Broken(error.to_string().into()))
}

fn not_authenticated(error: anyhow::Error) -> End {
    End::Downstream(Downstream::NotAuthenticated(format!("{error:#}").into()))
}

const TOO_MANY: &str = "too many handshakes of others, or of its own address";
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for the handshakes of others.
const WAIT: Duration = Duration::from_secs(10);
