//! Outbound TCP: bytes of a local application to the destination.

use tokio::net::TcpStream;

use super::Port;
use crate::{
    flow::{End, Flow, Shutdown, Traffic},
    relay::relay,
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
        match self.listener.cluster().endpoint().dial().await {
            Ok(destination) => relay(stream, destination, traffic).await.into(),
            Err(error) => error.into(),
        }
    }
}
