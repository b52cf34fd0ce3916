//! The admin socket: SPIRE's DelegatedIdentity API for those who may act for others, and for
//! whoever may open the socket what the agent tells of itself, and the level of its log.

mod debug;
mod logger;

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use signet_daemon::socket::UnixSocket;
use signet_identity::{SpiffeId, tls::SharedIdentity};
use signet_proto::spire::{
    agent::debug::v1::debug_server::DebugServer,
    api::agent::{
        delegatedidentity::v1::delegated_identity_server::DelegatedIdentityServer,
        logger::v1::logger_server::LoggerServer,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::info;

use super::{LARGEST_HEADERS, LARGEST_REQUEST, STREAMS_PER_CONNECTION, delegated, to_its_end};
use crate::{cache::Cache, status::Status, workload::Attestors};
use debug::DebugService;
use logger::LoggerService;

/// What the admin socket's services stand on.
#[derive(Clone, Debug)]
pub(crate) struct AdminApi {
    pub(crate) cache: Cache,
    pub(crate) attestors: Attestors,
    /// Whose bearers may fetch the identities of others.
    pub(crate) delegates: Arc<BTreeSet<SpiffeId>>,
    /// The agent's own SVID.
    pub(crate) identity: SharedIdentity,
    pub(crate) status: Status,
    pub(crate) started: SystemTime,
}

/// Serves the admin socket until `shutdown`.
pub(crate) async fn serve_admin(
    socket: UnixSocket,
    api: AdminApi,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let path = socket.path().display().to_string();
    info!(
        name: "admin_api_starting",
        socket = %path,
        network = "unix",
        "serving the admin API on {path}"
    );
    let delegated = delegated::Service::new(
        api.cache.clone(),
        api.attestors.clone(),
        Arc::clone(&api.delegates),
        shutdown.clone(),
    );
    let delegated =
        DelegatedIdentityServer::new(delegated).max_decoding_message_size(LARGEST_REQUEST);
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(LARGEST_HEADERS)
        .add_service(delegated)
        .add_service(DebugServer::new(DebugService::new(api)))
        .add_service(LoggerServer::new(LoggerService))
        .serve_with_incoming_shutdown(socket.incoming(), shutdown.clone().cancelled_owned());
    to_its_end(server, &path, &shutdown).await
}

#[cfg(test)]
mod tests;
