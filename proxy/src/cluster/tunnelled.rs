//! Endpoints that are reached through tunnels (HBONE): those at one address that have to be the
//! same share their connections.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use signet_mesh::Endpoint;
use tokio_util::task::TaskTracker;

use super::secured::{Secured, Tls};
use crate::{
    config::Protocol,
    flow::{End, Routing},
    pool::{Address, Dialer, Secure, Tunnels, Way},
};

/// The connections that endpoints share, each for as long as one of them is there.
#[derive(Debug, Default)]
pub(super) struct Tunnelled(HashMap<Tunnel, Weak<Tunnels>>);

/// By what shared connections differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tunnel {
    address: SocketAddr,
    tls: Tls,
}

/// An endpoint that tunnels may lead to.
#[derive(Debug)]
pub(super) struct Inner<'a> {
    /// Where it is.
    called: SocketAddr,
    /// By what the connections to its proxy are secured.
    tls: &'a Tls,
    secure: Secure,
}

impl Tunnelled {
    /// The way to an endpoint; new connections will run on `tasks`.
    pub(super) fn way(&mut self, inner: Inner<'_>, tasks: &TaskTracker) -> Way {
        let Inner {
            called,
            tls,
            secure,
        } = inner;
        let tunnel = Tunnel {
            address: SocketAddr::new(called.ip(), HBONE),
            tls: tls.clone(),
        };
        let there = self.0.get(&tunnel).and_then(Weak::upgrade);
        let tunnels = there.unwrap_or_else(|| {
            let dialer = Dialer::new(tunnel.address, Some(secure));
            let tunnels = Tunnels::new(dialer, tasks.clone());
            self.0.insert(tunnel, Arc::downgrade(&tunnels));
            tunnels
        });
        Way::Tunnel { tunnels, called }
    }

    /// New streams go over new connections, because identity or trust are others.
    pub(super) fn renew(&self) {
        let tunnels = self.0.values().filter_map(Weak::upgrade);
        tunnels.for_each(|tunnels| tunnels.renew());
    }

    /// Forgets those that no endpoint has any more.
    pub(super) fn forget_unused(&mut self) {
        self.0.retain(|_, tunnels| tunnels.strong_count() > 0);
    }
}

impl<'a> Inner<'a> {
    /// The endpoint at `address`, whose proxy is called by this TLS.
    ///
    /// # Errors
    /// No tunnel can lead to it.
    pub(super) fn of(
        address: &Address,
        secured: Option<&'a Secured>,
        secure: Option<Secure>,
    ) -> Result<Self, End> {
        let refused = |why: &str| {
            let why = format!("{address} is reached through tunnels, which {why}");
            Err(End::Routing(Routing::NoCluster(why.into())))
        };
        let Address::Tcp(called) = address else {
            return refused("lead to an IP address and port");
        };
        match (secured, secure) {
            (Some(secured), Some(secure)) if secured.is_of_mesh() => Ok(Self {
                called: *called,
                tls: &secured.tls,
                secure,
            }),
            (Some(_), Some(_)) => refused("need the mutual TLS of the mesh, and not one by files"),
            (None, _) | (_, None) => refused("need mutual TLS, and it is called without"),
        }
    }
}

/// What is spoken inside of the TLS to an endpoint, or else to the proxy before it: tunnels are of
/// HTTP/2, whatever goes through them.
pub(super) fn outer(endpoint: &Endpoint, protocol: Protocol) -> Protocol {
    match endpoint.is_tunnelled() {
        true => Protocol::Http2,
        false => protocol,
    }
}

/// Where proxies take tunnels, in Istio.
const HBONE: u16 = 15008;
