//! What a server checks of its clients.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::verify_tls13_signature,
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Clients, SharedTrust, system_time, untrusted};
use crate::{crypto, trust::Usage};

#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: SharedTrust,
    pub(super) clients: Clients,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        match self.clients {
            Clients::Required => true,
            Clients::Optional => false,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Authorities change while the server runs, and clients have one SVID to offer anyway.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // A copy of the handle, so that nobody who publishes has to wait for a signature check.
        let trust = Arc::clone(&self.trust.borrow());
        trust
            .verify_parts(end_entity, intermediates, Usage::Client, system_time(now))
            .map_err(untrusted)?;
        Ok(ClientCertVerified::assertion())
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
