//! What a client checks of a server.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::verify_tls13_signature,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use spiffe::SpiffeId;

use super::{Expect, SharedTrust, TlsError, refused, system_time, untrusted};
use crate::{
    crypto,
    trust::{Usage, VerifyError},
    x509,
};

#[derive(Debug)]
pub(super) enum Verifier {
    /// The chain has to lead to an authority.
    Trusted { trust: SharedTrust, expect: Expect },
    /// Only the name is compared.
    Anyone { expect: SpiffeId },
}

impl Verifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match self {
            Self::Trusted { trust, expect } => {
                // A copy of the handle, so that nobody who publishes has to wait for a signature
                // check.
                let trust = Arc::clone(&trust.borrow());
                let now = system_time(now);
                match trust.verify_parts(leaf, intermediates, Usage::Server, now) {
                    Ok(peer) => expect.check(peer.id).map_err(refused),
                    // Whoever a stranger is: if it is not who is wanted, that is what helps to
                    // know.
                    Err(VerifyError::UnknownTrustDomain(found)) => {
                        expect.check(found.clone()).map_err(refused)?;
                        Err(untrusted(VerifyError::UnknownTrustDomain(found)))
                    }
                    Err(error) => Err(untrusted(error)),
                }
            }
            Self::Anyone { expect } => {
                let peer = x509::check_svid_leaf(leaf).map_err(refused)?;
                if peer.id == *expect {
                    return Ok(());
                }
                let expected = expect.to_string();
                Err(refused(TlsError::Unexpected {
                    found: peer.id,
                    expected,
                }))
            }
        }
    }
}

impl Expect {
    fn check(&self, found: SpiffeId) -> Result<(), TlsError> {
        let expected = match self {
            Self::Exactly(ids) if ids.contains(&found) => return Ok(()),
            Self::TrustDomain(trust_domain) if found.trust_domain() == trust_domain => {
                return Ok(());
            }
            Self::AnyTrusted => return Ok(()),
            Self::Exactly(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                ids.join(" or ")
            }
            Self::TrustDomain(trust_domain) => format!("a member of {trust_domain}"),
        };
        Err(TlsError::Unexpected { found, expected })
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
        self.check(end_entity, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(super::old_version())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = crypto::provider();
        let algorithms = &provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
