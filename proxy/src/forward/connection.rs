//! Carries the bytes of a connection.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    cluster::Cluster,
    flow::{End, Routing, Traffic},
    relay::relay,
};

/// Carries bytes between a client and an endpoint of a cluster, until they have ended.
pub(crate) async fn carry<S>(stream: S, cluster: &Cluster, traffic: &Traffic) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(endpoint) = cluster.pick(&[], fastrand::u64(..)) else {
        let why = format!("{} has no endpoint", cluster.name());
        return End::Routing(Routing::NoEndpoint(why.into()));
    };
    let _active = endpoint.begin();
    match endpoint.dial().await {
        Ok(destination) => relay(stream, destination, traffic).await.into(),
        Err(error) => error.into(),
    }
}
