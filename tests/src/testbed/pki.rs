//! A PKI of the nodes' owner, and the node certificates that it issues.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};

use super::Bed;

/// The node attestor block of an agent whose certificate [`Pki::issue`] wrote.
pub const ATTESTOR: &str = "NodeAttestor \"x509pop\" {
    plugin_data {
      private_key_path = \"node.key\"
      certificate_path = \"node.crt\"
    }
  }";

/// A certificate authority of the nodes' owner.
pub struct Pki {
    root: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = subject(name);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            root: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// A node's certificate and key in the test's directory; returns its agent ID.
    pub fn issue(&self, bed: &Bed, name: &str, algorithm: &'static SignatureAlgorithm) -> String {
        let key = KeyPair::generate_for(algorithm).unwrap();
        self.certify(bed, name, &key)
    }

    /// The same for a key that there is already.
    pub fn certify(&self, bed: &Bed, name: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = subject(name);
        let certificate = params.signed_by(key, &self.root).unwrap();
        fs::write(bed.path("node.crt"), certificate.pem()).unwrap();
        fs::write(bed.path("node.key"), key.serialize_pem()).unwrap();
        let fingerprint = hex::encode(signet_identity::crypto::sha1(certificate.der()));
        format!("spiffe://example.org/spire/agent/x509pop/{fingerprint}")
    }

    /// The block of a server's `plugins` that trusts this authority.
    pub fn trusted(&self, bed: &Bed) -> String {
        let file = bed.write("pki.pem", &self.root.pem());
        format!(
            "NodeAttestor \"x509pop\" {{\n    plugin_data {{\n      ca_bundle_path = \"{}\"\n    }}\n  }}",
            file.display()
        )
    }
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
