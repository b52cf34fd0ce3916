//! What a connection of a local application is, and what it calls.

use std::{io, net::SocketAddr};

use tokio::net::TcpStream;

use super::{Called, Port};
use crate::{
    config::{PortProtocol, Protocol},
    flow::{Downstream, End, Routing, Shutdown},
    original,
    peeked::Peeked,
    route::Router,
    sniff::Begins,
};

/// What a connection is.
#[derive(Debug)]
pub(super) enum Arrived {
    /// It is spoken HTTP on; and what the client called, if that is known.
    Requests(Peeked, Option<SocketAddr>),
    /// Only its bytes are known; and what the client called, if that matters.
    Bytes(Peeked, Option<Called>),
}

/// How the bytes of a connection are read.
enum Reading {
    Requests,
    /// Those of TLS, which begin with the name of a server.
    Tls,
    Bytes,
}

impl Port {
    /// Finds out what a connection is.
    ///
    /// # Errors
    /// It broke, the port stops, or it calls the port itself.
    pub(super) async fn arrive(&self, stream: TcpStream) -> Result<Arrived, End> {
        let address = self.called(&stream)?;
        let mut peeked = Peeked::new(stream);
        let reading = match self.protocol {
            PortProtocol::Known(Protocol::Http | Protocol::Http2) => Reading::Requests,
            PortProtocol::Known(Protocol::Tcp) => Reading::Bytes,
            PortProtocol::Tls => Reading::Tls,
            PortProtocol::Auto => self.sniff(&mut peeked, address).await?,
        };
        match reading {
            Reading::Requests => {
                let called = address.filter(|_| self.original_destination);
                Ok(Arrived::Requests(peeked, called))
            }
            Reading::Bytes => {
                let called = address.map(|address| Called {
                    address,
                    server_name: None,
                });
                Ok(Arrived::Bytes(peeked, called))
            }
            Reading::Tls => {
                let server_name = self.unless_stopping(peeked.server_name()).await?;
                let called = address.map(|address| Called {
                    address,
                    server_name,
                });
                Ok(Arrived::Bytes(peeked, called))
            }
        }
    }

    /// What the client called, where that matters: its first destination, or this end of its
    /// connection.
    fn called(&self, stream: &TcpStream) -> Result<Option<SocketAddr>, End> {
        if self.original_destination {
            let client = stream.peer_addr().map_err(broken)?;
            if self.own_connections.has(client) {
                return Err(End::Routing(Routing::NoService(COMES_AGAIN.into())));
            }
            let called = original::destination(stream).map_err(broken)?;
            let local = original::local(stream).map_err(broken)?;
            // Nobody redirected it: what it calls would come here again.
            if called == local && called.port() == self.listen.port() {
                let why = format!(
                    "{called} is this port itself: it takes only connections that were redirected \
                     to it"
                );
                return Err(End::Routing(Routing::NoService(why.into())));
            }
            return Ok(Some(called));
        }
        let is_http = matches!(
            self.protocol,
            PortProtocol::Known(Protocol::Http | Protocol::Http2)
        );
        if is_http || matches!(*self.router(), Router::Fixed(_)) {
            return Ok(None);
        }
        let local = original::local(stream).map_err(broken)?;
        let port = self.usual_port.unwrap_or_else(|| local.port());
        Ok(Some(SocketAddr::new(local.ip(), port)))
    }

    /// What the service that is called says it speaks, or else what the first bytes are.
    async fn sniff(&self, stream: &mut Peeked, called: Option<SocketAddr>) -> Result<Reading, End> {
        let declared = match &*self.router() {
            Router::Fixed(_) => None,
            Router::Mesh(mesh) => called.and_then(|called| mesh.spoken_at(called)),
        };
        if let Some(protocol) = declared {
            return Ok(match (protocol.is_http(), protocol.is_tls()) {
                (true, _) => Reading::Requests,
                (_, true) => Reading::Tls,
                (false, false) => Reading::Bytes,
            });
        }
        Ok(match self.unless_stopping(stream.begins()).await? {
            Begins::Http1 | Begins::Http2 => Reading::Requests,
            Begins::Tls => Reading::Tls,
            Begins::Other => Reading::Bytes,
        })
    }

    async fn unless_stopping<T>(
        &self,
        looking: impl Future<Output = io::Result<T>>,
    ) -> Result<T, End> {
        tokio::select! {
            looked = looking => looked.map_err(broken),
            () = self.listener.ends.stopping() => Err(End::Shutdown(Shutdown::Stopping)),
        }
    }
}

fn broken(error: io::Error) -> End {
    End::Downstream(Downstream::Broken(error.to_string().into()))
}

const COMES_AGAIN: &str = "what the proxy itself sends is redirected to it and would come again \
                           for ever; exempt the user that it runs as, with `signet proxy intercept \
                           apply --exempt-uid`";
