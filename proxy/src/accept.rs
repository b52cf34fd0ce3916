//! The accept loop that every port of the proxy shares: bounded, and never ended by an
//! error of one connection.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use signet_identity::tls::SharedIdentity;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::standing;

/// A port's socket.
#[derive(Debug)]
pub(crate) struct Door {
    /// The port's name in the configuration.
    pub(crate) name: Arc<str>,
    /// The socket, on this thread.
    pub(crate) listener: TcpListener,
    /// Connections at once.
    pub(crate) limit: usize,
}

/// Accepts from the first identity on until `shutdown`; `handle` makes the task that carries
/// a connection.
pub(crate) async fn serve<H, F>(
    door: Door,
    identity: &SharedIdentity,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
    handle: H,
) where
    H: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let waiting = standing::identity(identity.clone());
    if shutdown.run_until_cancelled(waiting).await.is_none() {
        return;
    }
    let listen = door.listener.local_addr().ok().map(tracing::field::display);
    info!(port = &*door.name, listen, "accepting connections");
    let places = Arc::new(Semaphore::new(door.limit));
    while let Some((stream, client, place)) = shutdown
        .run_until_cancelled(next(&door.listener, &places))
        .await
    {
        let carried = handle(stream, client);
        tasks.spawn(async move {
            carried.await;
            drop(place);
        });
    }
}

type Accepted = (
    TcpStream,
    SocketAddr,
    Option<tokio::sync::OwnedSemaphorePermit>,
);

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Accepted {
    // A place first: connections beyond the limit wait in the kernel's backlog. The
    // semaphore is never closed, so a place is always had.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%client, %error, "TCP_NODELAY cannot be set");
                }
                return (stream, client, place);
            }
            Err(error) => {
                warn!(%error, "a connection cannot be accepted; trying again");
                sleep(BACK_OFF).await;
            }
        }
    }
}

const BACK_OFF: Duration = Duration::from_millis(100);
