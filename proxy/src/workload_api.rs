//! What the Workload API sends, read whole or refused whole (SPIFFE Workload API §4.4, §4.5).

use std::collections::HashMap;

use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::{Bundle, X509Authority},
    endpoint::Endpoint,
    id::{self, IdError},
    key::{KeyError, PrivateKey},
    tls::{Identity, IdentityError},
    trust::Trust,
    x509::{self, ProfileError},
};
use signet_proto::workload::{
    X509Svid, X509SvidRequest, X509SvidResponse,
    spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use thiserror::Error;
use tokio::net::UnixStream;
use tonic::{
    Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{self, Channel},
};
use tower::service_fn;

/// A client of one Workload API; it connects when it is used, and again after a loss.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadApi(SpiffeWorkloadApiClient<Channel>);

/// What one message gives: the default identity, and whom to trust.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
}

/// Why a message is discarded.
#[derive(Debug, Error)]
pub(crate) enum MessageError {
    #[error("it has no {0}")]
    Missing(&'static str),
    #[error("{0}")]
    Id(#[from] IdError),
    #[error("a chain or bundle is malformed: {0}")]
    Certificate(#[from] ProfileError),
    #[error("the private key is unreadable: {0}")]
    Key(#[from] KeyError),
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("the SVID of {stated} is that of {found}")]
    OtherId { stated: SpiffeId, found: SpiffeId },
}

impl WorkloadApi {
    /// The one at `endpoint`; must be called inside the runtime.
    pub(crate) fn at(endpoint: &Endpoint) -> Result<Self, transport::Error> {
        let channel = match endpoint {
            Endpoint::Unix(path) => {
                let path = path.clone();
                // A Unix socket has no host, HTTP/2 wants one.
                transport::Endpoint::from_static("http://localhost").connect_with_connector_lazy(
                    service_fn(move |_| {
                        let path = path.clone();
                        async move { UnixStream::connect(path).await.map(TokioIo::new) }
                    }),
                )
            }
            Endpoint::Tcp(address) => {
                transport::Endpoint::from_shared(format!("http://{address}"))?.connect_lazy()
            }
        };
        Ok(Self(SpiffeWorkloadApiClient::new(channel)))
    }

    /// Opens the stream of X509-SVIDs.
    pub(crate) async fn x509_svids(&self) -> Result<Streaming<X509SvidResponse>, Status> {
        let mut request = Request::new(X509SvidRequest {});
        // On every call (SPIFFE Workload Endpoint §3).
        let yes = MetadataValue::from_static("true");
        request.metadata_mut().insert("workload.spiffe.io", yes);
        Ok(self.0.clone().fetch_x509svid(request).await?.into_inner())
    }
}

impl Material {
    /// Reads a message. The first SVID is the default identity (§8); the others must be whole
    /// too, and their bundles count.
    pub(crate) fn read(response: &X509SvidResponse) -> Result<Self, MessageError> {
        let first = response
            .svids
            .first()
            .ok_or(MessageError::Missing("SVID"))?;
        let mut bundles = HashMap::new();
        for (key, der) in &response.federated_bundles {
            // A bundle without authorities trusts nobody, and so withdraws the domain.
            bundles.insert(id::parse_trust_domain_id(key)?, x509::split(der)?);
        }
        for svid in &response.svids {
            check_present(svid)?;
            // The own trust domain's bundle is the SVID's, whatever is said of it elsewhere.
            let trust_domain = id::parse(&svid.spiffe_id)?.trust_domain().clone();
            bundles.insert(trust_domain, x509::split(&svid.bundle)?);
        }
        let bundles: Vec<Bundle> = bundles.into_iter().map(bundle).collect();
        Ok(Self {
            identity: identity(first)?,
            trust: Trust::new(&bundles),
        })
    }
}

fn check_present(svid: &X509Svid) -> Result<(), MessageError> {
    for (empty, field) in [
        (svid.spiffe_id.is_empty(), "spiffe_id"),
        (svid.x509_svid.is_empty(), "x509_svid"),
        (svid.x509_svid_key.is_empty(), "x509_svid_key"),
        (svid.bundle.is_empty(), "bundle"),
    ] {
        if empty {
            return Err(MessageError::Missing(field));
        }
    }
    Ok(())
}

fn identity(svid: &X509Svid) -> Result<Identity, MessageError> {
    let stated = id::parse(&svid.spiffe_id)?;
    let key = PrivateKey::from_pkcs8(&svid.x509_svid_key)?;
    let identity = Identity::new(x509::split(&svid.x509_svid)?, &key)?;
    if *identity.id() != stated {
        let found = identity.id().clone();
        return Err(MessageError::OtherId { stated, found });
    }
    Ok(identity)
}

fn bundle((trust_domain, authorities): (TrustDomain, Vec<CertificateDer<'static>>)) -> Bundle {
    let x509_authorities = authorities
        .into_iter()
        .map(|der| X509Authority {
            der,
            tainted: false,
        })
        .collect();
    Bundle {
        x509_authorities,
        ..Bundle::empty(trust_domain)
    }
}
