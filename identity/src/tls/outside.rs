//! What a client checks of a server outside of the mesh, which has no identity there: that somebody
//! who is trusted for it signed its certificate, and that the certificate is for one of the names
//! that are expected.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, DnsName, PrivateKeyDer, ServerName, UnixTime,
};
use spiffe::SpiffeId;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationOptionsBuilder,
};

use super::{TlsError, owned, refused, untrusted};
use crate::{
    crypto,
    trust::{VerifyError, read_revocation_list},
};

/// A name in the certificate of a server outside of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OutsideName {
    /// The SPIFFE ID that another mesh gave it.
    Id(SpiffeId),
    /// A name of the DNS.
    Dns(DnsName<'static>),
}

/// By what a server outside of the mesh is known.
#[derive(Debug, Clone)]
pub struct OutsideServer {
    /// Who may have signed its certificate.
    pub authorities: Arc<RootCertStore>,
    /// Which certificates were revoked; if there are any of these lists, there has to be one of
    /// each issuer.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
    /// One of them stands in its certificate.
    pub names: Vec<OutsideName>,
}

/// What a client shows to a server outside of the mesh.
#[derive(Debug)]
pub struct OutsideClient {
    /// Its certificate, and those by which that was signed.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first of them.
    pub key: PrivateKeyDer<'static>,
}

/// A client of a server outside of the mesh, by TLS 1.3 or 1.2. Sessions are not resumed, so that
/// each connection obeys what is expected now.
///
/// # Errors
/// `server` names nobody, a list of what was revoked cannot be read, or key and certificate of the
/// client do not belong together.
pub fn outside_client_config(
    server: OutsideServer,
    client: Option<OutsideClient>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    if server.names.is_empty() {
        return Err(TlsError::NobodyExpected);
    }
    let verifier = Verifier::new(server)?;
    let builder = ClientConfig::builder_with_provider(crypto::outside_provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Config)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client {
        Some(OutsideClient { chain, key }) => builder
            .with_client_auth_cert(chain, key)
            .map_err(TlsError::Config)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = owned(alpn);
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Verifier {
    authorities: Arc<RootCertStore>,
    revoked: Vec<CertRevocationList<'static>>,
    names: Vec<OutsideName>,
}

impl Verifier {
    fn new(server: OutsideServer) -> Result<Self, TlsError> {
        let OutsideServer {
            authorities,
            revoked,
            names,
        } = server;
        let lists = revoked.iter().map(read_revocation_list);
        Ok(Self {
            revoked: lists.collect::<Result<_, _>>()?,
            authorities,
            names,
        })
    }

    fn check(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let lists: Vec<_> = self.revoked.iter().collect();
        // Without a list nothing can be said of what was revoked.
        let revocation = RevocationOptionsBuilder::new(&lists).ok();
        let revocation = revocation.map(|options| {
            options
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let algorithms = crypto::outside_provider()
            .signature_verification_algorithms
            .all;
        leaf.verify_for_usage(
            algorithms,
            &self.authorities.roots,
            intermediates,
            now,
            KeyUsage::server_auth(),
            revocation,
            None,
        )?;
        Ok(())
    }

    fn is_expected(&self, leaf: &EndEntityCert<'_>) -> bool {
        self.names.iter().any(|name| match name {
            OutsideName::Id(id) => leaf.valid_uri_names().any(|uri| uri == id.to_string()),
            OutsideName::Dns(name) => {
                let name = ServerName::DnsName(name.clone());
                leaf.verify_is_valid_for_subject_name(&name).is_ok()
            }
        })
    }

    fn another(&self, leaf: &EndEntityCert<'_>) -> TlsError {
        let names = leaf.valid_dns_names().chain(leaf.valid_uri_names());
        let names: Vec<_> = names.take(MOST_TOLD).collect();
        let expected = self.names.iter().map(|name| match name {
            OutsideName::Id(id) => id.to_string(),
            OutsideName::Dns(name) => name.as_ref().to_owned(),
        });
        TlsError::ForAnother {
            found: match names.is_empty() {
                true => "no name".to_owned(),
                false => names.join(", "),
            },
            expected: expected.collect::<Vec<_>>().join(" or "),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let of_chain = |error| untrusted(VerifyError::Chain(error));
        let leaf = EndEntityCert::try_from(end_entity).map_err(of_chain)?;
        self.check(&leaf, intermediates, now).map_err(of_chain)?;
        match self.is_expected(&leaf) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(refused(self.another(&leaf))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = crypto::outside_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = crypto::outside_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::outside_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// How many names of a certificate an error tells.
const MOST_TOLD: usize = 8;
