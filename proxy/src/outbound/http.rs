//! Outbound HTTP: requests of a local application to the destination.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tracing::warn;

use super::Port;
use crate::http::{
    body::Outgoing,
    exchange::{Exchange, Outcome},
    forward::{self, forward, refuse},
    headers::{self, X_FORWARDED_CLIENT_CERT},
    reply::Reason,
    serve::serve,
};

impl Port {
    pub(super) async fn carry_http(self: Arc<Self>, stream: TcpStream, client: SocketAddr) {
        let answer = |request| Arc::clone(&self).answer(request, client);
        let cut = serve(stream, answer, self.shutdown.cancelled(), self.withdrawn()).await;
        if cut.is_some() {
            warn!(port = &*self.name, %client, "connection cut: the proxy's own identity is withdrawn");
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<Outgoing> {
        // The identity of the connection speaks for the application; its headers do not.
        request.headers_mut().remove(X_FORWARDED_CLIENT_CERT);
        let exchange = Exchange {
            port: Arc::clone(&self.name),
            peer: Arc::clone(&self.destination),
            client,
            request_id: headers::request_id(request.headers_mut()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            started: Instant::now(),
            outcome: Outcome::default(),
            ticket: None,
        };
        if let Some(why) = forward::unsupported(&request) {
            let why = why.to_owned();
            return refuse(
                Reason::NotSupported,
                why,
                forward::is_grpc(&request),
                exchange,
            );
        }
        forward(request, &self.pool, exchange).await
    }
}
