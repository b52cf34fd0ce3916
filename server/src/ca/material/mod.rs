//! What the authorities of each kind are made of.

mod jwt;
mod x509;

pub(super) use jwt::JwtMaterial;
pub(crate) use x509::MaterialError;
pub(super) use x509::X509Material;

use rustls::pki_types::CertificateDer;

/// What is remembered of an authority's material: all but its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// The certificate, or the public key of a JWT authority.
    pub(super) public: Vec<u8>,
    /// The chain of an X.509 authority that is not its own root.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The roots above that chain.
    pub(super) roots: Vec<CertificateDer<'static>>,
}
