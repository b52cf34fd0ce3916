//! Carries the bytes of a connection.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::{
    cluster::{Chosen, Cluster},
    flow::{End, Flow},
    relay::relay,
};

/// Carries bytes between a client and an endpoint of a cluster, until they have ended; they are
/// counted in `flow`.
pub(crate) async fn carry<S>(stream: S, cluster: &Cluster, flow: &mut Flow) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let chosen = cluster.choose(&[], fastrand::u64(..), Instant::now());
    let Chosen {
        endpoint,
        active,
        trial,
        meter,
    } = match chosen {
        Ok(chosen) => chosen,
        Err(end) => {
            flow.carries(cluster.meter());
            return end;
        }
    };
    flow.carries(meter.as_ref().or_else(|| cluster.meter()));
    match endpoint.dial().await {
        Ok(destination) => {
            active.answered();
            trial.connected(Instant::now());
            relay(stream, destination, flow.traffic(), cluster.tcp())
                .await
                .into()
        }
        Err(error) => {
            if error.is_of_endpoint() {
                active.failed();
                trial.failed(Instant::now());
            }
            error.into()
        }
    }
}
