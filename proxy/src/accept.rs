//! How every port accepts: from the proxy's first identity on.

use std::future::Future;

use signet_daemon::socket::{Acceptor, ConnectionLimit, Slot, TcpConnection};
use tokio::net::TcpListener;
use tracing::{field::display, info};

use crate::{latest, listener::Listener};

/// Accepts on `socket` until the listener is to drain; `handle` makes the task that carries a
/// connection.
pub(crate) async fn accept<F>(
    listener: &Listener,
    socket: TcpListener,
    limit: ConnectionLimit,
    handle: impl Fn(TcpConnection, Slot) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let drain = &listener.ends.drain;
    let waiting = latest::identity(listener.sources.identity.clone());
    if drain.run_until_cancelled(waiting).await.is_none() {
        return;
    }
    let listen = socket.local_addr().ok().map(display);
    info!(port = &*listener.name, listen, "accepting connections");
    Acceptor::new(socket, limit)
        .serve(drain, &listener.tasks, handle)
        .await;
}
