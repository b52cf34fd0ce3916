//! `spire.api.server.debug.v1.Debug`.

use std::time::Instant;

use signet_identity::{id, summary::Summary, tls::SharedIdentity};
use signet_proto::spire::api::server::debug::v1::{
    GetInfoRequest, GetInfoResponse, debug_server::Debug, get_info_response::Cert,
};
use tonic::{Request, Response, Status};

use super::status::internal;
use crate::directory::Directory;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct DebugService {
    directory: Directory,
    identity: SharedIdentity,
    started: Instant,
}

impl DebugService {
    /// `identity` is the SVID that the server shows to agents.
    pub(crate) fn new(directory: Directory, identity: SharedIdentity, started: Instant) -> Self {
        Self {
            directory,
            identity,
            started,
        }
    }
}

#[tonic::async_trait]
impl Debug for DebugService {
    async fn get_info(
        &self,
        _request: Request<GetInfoRequest>,
    ) -> Result<Response<GetInfoResponse>, Status> {
        let identity = self.identity.borrow().clone();
        let chain = identity
            .as_ref()
            .map_or(&[][..], |identity| identity.chain());
        let bundle = self.directory.bundle(self.directory.trust_domain());
        let authorities = bundle.as_ref().map_or(&[][..], |own| &own.x509_authorities);
        let svid_chain = Summary::of_chain(chain, authorities)
            .map_err(|error| internal("the server's SVID cannot be read", &error))?;
        let own = self.directory.trust_domain();
        let bundles = self.directory.bundles();
        let federated = bundles
            .iter()
            .filter(|bundle| bundle.trust_domain != *own)
            .count();
        Ok(Response::new(GetInfoResponse {
            svid_chain: svid_chain.into_iter().map(cert).collect(),
            uptime: i32::try_from(self.started.elapsed().as_secs()).unwrap_or(i32::MAX),
            agents_count: count(self.directory.agent_count()),
            federated_bundles_count: count(federated),
            entries_count: count(self.directory.entry_count()),
        }))
    }
}

fn cert(told: Summary) -> Cert {
    Cert {
        id: told.id.as_ref().map(id::to_proto),
        expires_at: told.expires_at,
        subject: told.subject,
    }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
