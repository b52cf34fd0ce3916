//! How every port of the proxy accepts: from its first identity on.

use std::{future::Future, net::SocketAddr, sync::Arc};

use signet_daemon::socket::{self, ConnectionLimit, Slot};
use signet_identity::tls::SharedIdentity;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use crate::reauthorize;

/// A port's socket.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// The port's name in the configuration.
    pub(crate) name: Arc<str>,
    /// The socket, on this thread.
    pub(crate) listener: TcpListener,
    /// Connections at once.
    pub(crate) limit: ConnectionLimit,
}

impl Acceptor {
    /// Accepts from the first identity on until `shutdown`; `handle` makes the task that
    /// carries a connection.
    pub(crate) async fn serve<H, F>(
        self,
        identity: &SharedIdentity,
        shutdown: &CancellationToken,
        tasks: &TaskTracker,
        handle: H,
    ) where
        H: Fn(TcpStream, SocketAddr, Slot) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let waiting = reauthorize::identity(identity.clone());
        if shutdown.run_until_cancelled(waiting).await.is_none() {
            return;
        }
        let listen = self.listener.local_addr().ok().map(tracing::field::display);
        info!(port = &*self.name, listen, "accepting connections");
        let handle = |(stream, client), slot| handle(stream, client, slot);
        socket::Acceptor::new(self.listener, self.limit)
            .serve(shutdown, tasks, handle)
            .await;
    }
}
