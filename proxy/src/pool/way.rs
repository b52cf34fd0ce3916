//! The way to one endpoint: a connection of its own, or a stream of one that many share.

use std::{net::SocketAddr, sync::Arc};

use tokio::time::timeout;

use super::{
    dialer::{DialError, Dialer, NextHop},
    terms::Terms,
    tunnels::Tunnels,
};

/// The way to one endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// It is connected to.
    Direct(Dialer),
    /// Streams of connections to its proxy lead to it.
    Tunnel {
        /// Those connections.
        tunnels: Arc<Tunnels>,
        /// Where it is.
        called: SocketAddr,
    },
}

impl Way {
    /// Connects, on these terms.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or is not who is expected.
    pub(super) async fn dial(&self, terms: &Terms) -> Result<NextHop, DialError> {
        match self {
            Self::Direct(dialer) => dialer.dial(terms).await,
            Self::Tunnel { tunnels, called } => {
                let within = terms.connect;
                let stream = timeout(within, Box::pin(tunnels.stream(*called, terms)));
                stream.await.map_err(|_elapsed| DialError::Timeout {
                    address: called.to_string(),
                    within,
                })?
            }
        }
    }

    /// Lets go of connections that are kept for the next stream.
    pub(super) fn renew(&self) {
        match self {
            Self::Direct(_) => {}
            Self::Tunnel { tunnels, .. } => tunnels.renew(),
        }
    }

    /// Where it leads, for logs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Direct(dialer) => dialer.address.to_string(),
            Self::Tunnel { called, .. } => called.to_string(),
        }
    }
}

impl From<Dialer> for Way {
    fn from(dialer: Dialer) -> Self {
        Self::Direct(dialer)
    }
}
