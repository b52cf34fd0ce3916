//! Outbound TCP: bytes of a local application to the destination.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::Port;
use crate::{
    flow::{End, Flow, Routing, Shutdown, Traffic},
    forward::carry,
    route::Router,
};

impl Port {
    pub(super) async fn carry_tcp(&self, stream: TcpStream, mut flow: Flow) {
        let end = tokio::select! {
            end = self.pass(stream, flow.traffic()) => end,
            () = self.listener.withdrawn() => End::Shutdown(Shutdown::Identity),
            () = self.listener.ends.stopping() => End::Shutdown(Shutdown::Stopping),
        };
        flow.end(end);
    }

    async fn pass(&self, stream: TcpStream, traffic: &Traffic) -> End {
        let cluster = match &*self.router() {
            Router::Fixed(cluster) => Arc::clone(cluster),
            Router::Mesh(_) => return End::Routing(Routing::NoService(NO_HOST.into())),
        };
        carry(stream, &cluster, traffic).await
    }
}

const NO_HOST: &str = "nothing of the connection says which service of the mesh is meant";
