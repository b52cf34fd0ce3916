//! TLS 1.3 between parts that have SPIFFE IDs. Identity and trust are read at each handshake, so
//! that a new SVID or bundle counts from the next connection on without a new configuration.
//!
//! Sessions are never resumed: a resumed session would skip the check of the peer and outlive its
//! SVID.

mod client;
mod identity;
mod outside;
mod server;

pub use identity::{Identity, IdentityError};
pub use outside::{OutsideClient, OutsideName, OutsideServer, outside_client_config};

use std::{
    error::Error,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    CertificateError, ClientConfig, OtherError, ServerConfig, client::Resumption,
    server::NoServerSessionStorage, version::TLS13,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use spiffe::{SpiffeId, TrustDomain};
use tokio::sync::watch;

use crate::{
    crypto,
    trust::{RevocationListError, Trust, VerifyError},
    x509::{self, Leaf, ProfileError},
};

/// The latest trust.
pub type SharedTrust = watch::Receiver<Arc<Trust>>;

/// The latest own identity; `None` while there is none.
pub type SharedIdentity = watch::Receiver<Option<Arc<Identity>>>;

/// Who a client wants at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// One of these.
    Exactly(Vec<SpiffeId>),
    /// Any workload of this trust domain.
    TrustDomain(TrustDomain),
    /// Anyone whose trust domain is trusted.
    AnyTrusted,
}

/// What a server asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Each client proves an identity.
    Required,
    /// A client may come without one; if it has one, it has to be good.
    Optional,
}

/// Why a TLS endpoint could not be made, or a peer was refused by name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The library refused the configuration.
    #[error("TLS could not be configured")]
    Config(#[source] rustls::Error),
    /// A client that expects nobody can connect to nobody.
    #[error("no expected SPIFFE ID is given; name at least one")]
    NobodyExpected,
    /// A list of certificates that were revoked is none.
    #[error(transparent)]
    Revoked(#[from] RevocationListError),
    /// The peer is outside of the mesh, trusted, and somebody else.
    #[error("its certificate is for {found}, and {expected} is expected")]
    ForAnother {
        /// What stands in it.
        found: String,
        /// What should.
        expected: String,
    },
    /// The peer is trusted, and is somebody else.
    #[error("the peer is {found}, and {expected} is expected")]
    Unexpected {
        /// Who answered.
        found: SpiffeId,
        /// Who should have.
        expected: String,
    },
}

/// A client that presents `identity`, if it has one, and connects only to servers that `trust`
/// leads to and `expect` names.
///
/// # Errors
/// `expect` names nobody, or the library refuses the configuration.
pub fn client_config(
    identity: Option<SharedIdentity>,
    trust: SharedTrust,
    expect: Expect,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    if matches!(&expect, Expect::Exactly(ids) if ids.is_empty()) {
        return Err(TlsError::NobodyExpected);
    }
    build_client(client::Verifier::Trusted { trust, expect }, identity, alpn)
}

/// A client that believes any server that calls itself `expect`, without a look at who signed its
/// certificate. Only for an agent that was told to bootstrap without a bundle: it trusts on first
/// use.
///
/// # Errors
/// The library refuses the configuration.
pub fn bootstrap_client_config_insecure(
    expect: SpiffeId,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    build_client(client::Verifier::Anyone { expect }, None, alpn)
}

/// A server that presents `identity` and lets in only clients that `trust` leads to.
///
/// # Errors
/// The library refuses the configuration.
pub fn server_config(
    identity: SharedIdentity,
    trust: SharedTrust,
    clients: Clients,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Config)?
        .with_client_cert_verifier(Arc::new(server::Verifier { trust, clients }))
        .with_cert_resolver(Arc::new(identity::Presented(identity)));
    config.alpn_protocols = owned(alpn);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Who the peer of an established connection is; `None` when it came without a certificate.
///
/// # Errors
/// The certificate is no X509-SVID.
pub fn peer_leaf(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<Leaf>, ProfileError> {
    let leaf = chain.and_then(<[_]>::first);
    leaf.map(|leaf| x509::check_svid_leaf(leaf)).transpose()
}

/// Why a handshake failed, in the words of the check that refused it where there was one.
pub fn reason(error: &io::Error) -> String {
    let refusal = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match refusal {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            other.0.to_string()
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

fn build_client(
    verifier: client::Verifier,
    identity: Option<SharedIdentity>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(identity::Presented(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = owned(alpn);
    config.resumption = Resumption::disabled();
    // Peers are known by SPIFFE ID; a host name would only tell eavesdroppers where we go.
    config.enable_sni = false;
    Ok(Arc::new(config))
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}

fn system_time(now: UnixTime) -> SystemTime {
    // A time beyond what the system knows makes every certificate not valid yet.
    UNIX_EPOCH
        .checked_add(Duration::from_secs(now.as_secs()))
        .unwrap_or(UNIX_EPOCH)
}

/// Only TLS 1.3 is configured, so this is never asked for.
fn old_version() -> rustls::Error {
    rustls::Error::General("TLS 1.3 is required".to_owned())
}

/// Keeps our own words for the log; the peer sees an alert only.
fn refused(error: impl Error + Send + Sync + 'static) -> rustls::Error {
    let other = OtherError(Arc::new(Reason(error)));
    rustls::Error::InvalidCertificate(CertificateError::Other(other))
}

/// An error that reads the same in `Debug`, because that is how rustls prints it.
struct Reason<E>(E);

impl<E: fmt::Display> fmt::Debug for Reason<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: fmt::Display> fmt::Display for Reason<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Error> Error for Reason<E> {}

fn untrusted(error: VerifyError) -> rustls::Error {
    match &error {
        VerifyError::Chain(webpki::Error::CertExpired { .. }) => {
            rustls::Error::InvalidCertificate(CertificateError::Expired)
        }
        VerifyError::EmptyChain
        | VerifyError::Leaf(_)
        | VerifyError::UnknownTrustDomain(_)
        | VerifyError::Chain(_)
        | VerifyError::AuthorityValidity
        | VerifyError::PathLength { .. }
        | VerifyError::Revoked { .. }
        | VerifyError::RevocationsOutOfDate { .. }
        | VerifyError::Intermediate(_) => refused(error),
    }
}

#[cfg(test)]
mod tests;
