//! The SPIFFE Workload API: a gRPC service on a Unix socket that every process of the node may
//! connect to.

mod claims;
mod explain;
mod header;
pub(super) mod probe;
mod reflection;
mod service;
mod views;

use signet_daemon::socket::UnixSocket;
use signet_proto::workload::spiffe_workload_api_server::SpiffeWorkloadApiServer;
use tokio_util::sync::CancellationToken;
use tonic::{service::interceptor::InterceptedService, transport::Server};
use tracing::info;

pub(crate) use probe::{ProbeError, probe};
pub(crate) use service::Settings;

use super::{LARGEST_HEADERS, LARGEST_REQUEST, STREAMS_PER_CONNECTION, to_its_end};
use crate::{cache::Cache, workload::Attestors};
use service::Service;

/// Serves the Workload API, gRPC health checks and reflection on `socket` until `shutdown`.
/// Started when the cache has been filled for the first time: before that it could only tell
/// workloads, wrongly, that they have no identity.
pub(crate) async fn serve(
    socket: UnixSocket,
    cache: Cache,
    attestors: Attestors,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let path = socket.path().display().to_string();
    info!(
        name: "agent_api_starting",
        socket = %path,
        network = "unix",
        apis = "Workload API",
        "serving the Workload API on {path}"
    );
    let service = Service::new(cache, attestors, settings, shutdown.clone());
    let api = SpiffeWorkloadApiServer::new(service).max_decoding_message_size(LARGEST_REQUEST);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_serving::<SpiffeWorkloadApiServer<Service>>()
        .await;
    // The header is the Workload API's; health checkers and tools do not know it, and learn
    // nothing about anybody.
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(LARGEST_HEADERS)
        .add_routes(reflection::services())
        .add_service(health)
        .add_service(InterceptedService::new(api, header::check))
        .serve_with_incoming_shutdown(socket.incoming(), stopping(shutdown.clone()));
    to_its_end(server, &path, &shutdown).await
}

async fn stopping(shutdown: CancellationToken) {
    shutdown.cancelled().await;
    info!(name: "agent_api_stopping", apis = "Workload API", "closing the Workload API");
}

#[cfg(test)]
mod tests;
