//! Outbound TCP: bytes of a local application to the destination.

use std::sync::Arc;

use super::{Called, Port};
use crate::{
    flow::{End, Flow, Routing, Shutdown},
    forward::carry,
    peeked::Peeked,
    route::{Connecting, Router},
};

impl Port {
    /// Carries the bytes of a connection, and says how it ended; `called` is what the client
    /// called, as far as that matters.
    pub(super) async fn carry_tcp(
        &self,
        stream: Peeked,
        called: Option<Called>,
        flow: &mut Flow,
    ) -> End {
        tokio::select! {
            end = self.pass(stream, called, flow) => end,
            () = self.listener.withdrawn() => End::Shutdown(Shutdown::Identity),
            () = self.listener.ends.stopping() => End::Shutdown(Shutdown::Stopping),
        }
    }

    async fn pass(&self, stream: Peeked, called: Option<Called>, flow: &mut Flow) -> End {
        let cluster = match &*self.router() {
            Router::Fixed(cluster) => Arc::clone(cluster),
            Router::Mesh(mesh) => {
                let Some(Called {
                    address,
                    server_name,
                }) = called
                else {
                    return End::Routing(Routing::NoService(NOTHING_CALLED.into()));
                };
                let call = Connecting {
                    address: address.ip(),
                    port: address.port(),
                    server_name: server_name.as_deref(),
                };
                match mesh.connection(&call, flow) {
                    Ok(cluster) => cluster,
                    Err(end) => {
                        flow.carries(None);
                        return end;
                    }
                }
            }
        };
        carry(stream, &cluster, flow).await
    }
}

const NOTHING_CALLED: &str = "nothing of the connection says which service of the mesh is meant";
