//! How every port accepts: from the proxy's first identity on.

use std::future::Future;

use signet_daemon::socket::{Acceptor, ConnectionLimit, Slot, TcpConnection, TcpListeners};
use tokio::net::TcpListener;
use tracing::{field::display, info};

use crate::{latest, listener::Listener};

/// Accepts on `sockets` until the listener is to drain; `handle` makes the task that carries a
/// connection.
pub(crate) async fn accept<F>(
    listener: &Listener,
    sockets: Vec<TcpListener>,
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
    // One that is refused is closed when it is dropped.
    let handle = |connection, slot| {
        let place = listener.overload.enter(&listener.name);
        let handled = place.map(|place| (place, handle(connection, slot)));
        async move {
            if let Some((_place, handled)) = handled {
                handled.await;
            }
        }
    };
    let sockets = TcpListeners::new(sockets);
    let listen = sockets.local_addr().map(display);
    info!(port = &*listener.name, listen, "accepting connections");
    Acceptor::new(sockets, limit)
        .serve(drain, &listener.tasks, handle)
        .await;
}
