//! Outbound TCP: bytes of a local application to the destination.

use std::{net::SocketAddr, time::Instant};

use tokio::net::TcpStream;
use tracing::info;

use super::Port;
use crate::{
    http::exchange::ACCESS_LOG,
    relay::{Traffic, relay},
};

impl Port {
    pub(super) async fn carry_tcp(&self, stream: TcpStream, client: SocketAddr) {
        let (started, traffic) = (Instant::now(), Traffic::default());
        let end = tokio::select! {
            end = self.pass(stream, &traffic) => end,
            () = self.withdrawn() => "cut: the proxy's own identity is withdrawn".to_owned(),
            () = self.shutdown.cancelled() => "cut: the proxy is stopping".to_owned(),
        };
        info!(
            target: ACCESS_LOG,
            port = &*self.name,
            %client,
            destination = self.config.connect,
            bytes_received = traffic.received(),
            bytes_sent = traffic.sent(),
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "connection {end}"
        );
    }

    async fn pass(&self, stream: TcpStream, traffic: &Traffic) -> String {
        let destination = match self.route.dial().await {
            Ok(destination) => destination,
            Err(error) => return format!("failed: {:#}", anyhow::Error::from(error)),
        };
        match relay(stream, destination, traffic).await {
            Ok(()) => "ended".to_owned(),
            Err(error) => format!("broken: {error}"),
        }
    }
}
