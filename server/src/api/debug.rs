//! `spire.api.server.debug.v1.Debug`.

use std::time::Instant;

use signet_identity::id;
use signet_identity::tls::SharedIdentity;
use signet_proto::spire::api::server::debug::v1::debug_server::Debug;
use signet_proto::spire::api::server::debug::v1::{
    GetInfoRequest, GetInfoResponse, get_info_response::Cert,
};
use signet_proto::spire::api::types;
use tonic::{Request, Response, Status};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

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
        let chain = identity.iter().flat_map(|identity| identity.chain());
        let svid_chain = chain
            .map(|der| certificate(der))
            .collect::<Result<_, _>>()?;
        let own = self.directory.trust_domain();
        let bundles = self.directory.bundles();
        let federated = bundles
            .iter()
            .filter(|bundle| bundle.trust_domain != *own)
            .count();
        Ok(Response::new(GetInfoResponse {
            svid_chain,
            uptime: i32::try_from(self.started.elapsed().as_secs()).unwrap_or(i32::MAX),
            agents_count: count(self.directory.agent_count()),
            federated_bundles_count: count(federated),
            entries_count: count(self.directory.entry_count()),
        }))
    }
}

fn certificate(der: &[u8]) -> Result<Cert, Status> {
    let (_, certificate) = X509Certificate::from_der(der)
        .map_err(|error| internal("the server's SVID cannot be read", &error))?;
    Ok(Cert {
        id: spiffe_id(&certificate),
        expires_at: certificate.validity().not_after.timestamp(),
        subject: certificate.subject().to_string(),
    })
}

/// An authority need not have one.
fn spiffe_id(certificate: &X509Certificate<'_>) -> Option<types::Spiffeid> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else {
            return None;
        };
        Some(id::to_proto(&id::parse(uri).ok()?))
    })
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
