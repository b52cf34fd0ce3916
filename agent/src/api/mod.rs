//! The SPIFFE Workload API: a gRPC service on a Unix socket that every process of the node may
//! connect to. Who a caller is, the kernel says (see `workload`); what it gets, the cache says.

mod claims;
mod delegated;
mod explain;
mod follow;
mod header;
mod probe;
mod reflection;
mod service;
mod status;
mod views;

use std::{future::Future, time::Duration};

use signet_daemon::socket::UnixSocket;
use signet_proto::workload::spiffe_workload_api_server::SpiffeWorkloadApiServer;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{service::interceptor::InterceptedService, transport::Server};
use tracing::{info, warn};

pub(crate) use delegated::serve_delegates;
pub(crate) use probe::{ProbeError, probe};
pub(crate) use service::Settings;

use crate::{cache::Cache, workload::Attestors};
use service::Service;

/// Serves the Workload API, gRPC health checks and reflection on `socket` until `shutdown`. Started when the cache has
/// been filled for the first time: before that it could only tell workloads, wrongly, that they
/// have no identity.
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

/// Lets a server that was told to stop finish what it does, for a while.
async fn to_its_end(
    server: impl Future<Output = Result<(), tonic::transport::Error>>,
    path: &str,
    shutdown: &CancellationToken,
) -> Result<(), tonic::transport::Error> {
    tokio::select! {
        served = server => served,
        () = drained(shutdown) => {
            warn!(socket = %path, "ended connections on {path} that did not end by themselves");
            Ok(())
        }
    }
}

async fn drained(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(DRAIN).await;
}

/// A token with many claims and a long list of audiences.
const LARGEST_REQUEST: usize = 256 * 1024;

/// The one header that counts is 24 bytes.
const LARGEST_HEADERS: u32 = 16 * 1024;

/// Calls of one connection at the same time.
const STREAMS_PER_CONNECTION: u32 = 256;

/// How long open calls may take to notice that the agent ends.
const DRAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
