//! SPIRE's DelegatedIdentity API on the admin socket: a process that the operator trusts fetches
//! the identities of other workloads of this node, named by selectors or by process id.
//!
//! It is authorized by an identity of its own, on every message: the delegate that loses it is
//! told so, and gets nothing any more. Identities with rights at the server are never given away.

mod delegate;
mod service;
mod views;

use std::collections::BTreeSet;

use signet_daemon::socket::UnixSocket;
use signet_identity::SpiffeId;
use signet_proto::spire::api::agent::delegatedidentity::v1::delegated_identity_server as server;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::info;

use super::{LARGEST_HEADERS, LARGEST_REQUEST, STREAMS_PER_CONNECTION, to_its_end};
use crate::{cache::Cache, workload::Attestors};
use service::Service;

/// Serves the DelegatedIdentity API to these delegates on `socket` until `shutdown`.
pub(crate) async fn serve_delegates(
    socket: UnixSocket,
    cache: Cache,
    attestors: Attestors,
    delegates: BTreeSet<SpiffeId>,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let path = socket.path().display().to_string();
    info!(
        name: "admin_api_starting",
        socket = %path,
        network = "unix",
        "serving the DelegatedIdentity API on {path}"
    );
    let service = Service::new(cache, attestors, delegates, shutdown.clone());
    let api =
        server::DelegatedIdentityServer::new(service).max_decoding_message_size(LARGEST_REQUEST);
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(LARGEST_HEADERS)
        .add_service(api)
        .serve_with_incoming_shutdown(socket.incoming(), shutdown.clone().cancelled_owned());
    to_its_end(server, &path, &shutdown).await
}

#[cfg(test)]
mod tests;
