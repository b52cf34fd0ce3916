//! `spire.api.server.debug.v1.Debug`.

use std::time::Instant;

use signet_identity::{bundle::X509Authority, id, tls::SharedIdentity};
use signet_proto::spire::api::{
    server::debug::v1::{
        GetInfoRequest, GetInfoResponse, debug_server::Debug, get_info_response::Cert,
    },
    types,
};
use tonic::{Request, Response, Status};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::{name, status::internal};
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

impl DebugService {
    /// Who signed a certificate: it ends the chain, though it is never sent with it.
    fn authority_of(&self, certificate: &[u8]) -> Option<X509Authority> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let issuer = certificate.issuer().as_raw();
        let bundle = self.directory.bundle(self.directory.trust_domain())?;
        let mut authorities = bundle.x509_authorities.iter();
        let signed = |authority: &&X509Authority| {
            let details = authority.details();
            details.is_ok_and(|details| details.subject_der == issuer)
        };
        authorities.find(signed).cloned()
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
        let mut svid_chain = chain
            .clone()
            .map(|der| certificate(der))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(authority) = chain.last().and_then(|last| self.authority_of(last)) {
            svid_chain.push(certificate(&authority.der)?);
        }
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
        subject: name::rfc2253(certificate.subject()),
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
