//! Carries the bytes of a connection.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::{
    cluster::{Chosen, Cluster},
    flow::{End, Traffic},
    relay::relay,
};

/// Carries bytes between a client and an endpoint of a cluster, until they have ended.
pub(crate) async fn carry<S>(stream: S, cluster: &Cluster, traffic: &Traffic) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let chosen = cluster.choose(&[], fastrand::u64(..), Instant::now());
    let Chosen {
        endpoint,
        active: _active,
        trial,
        meter: _,
    } = match chosen {
        Ok(chosen) => chosen,
        Err(end) => return end,
    };
    match endpoint.dial().await {
        Ok(destination) => {
            trial.connected(Instant::now());
            relay(stream, destination, traffic).await.into()
        }
        Err(error) => {
            trial.failed(Instant::now());
            error.into()
        }
    }
}
