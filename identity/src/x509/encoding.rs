//! Chains of certificates as text and as bytes.

use rustls_pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::ProfileError;

/// Why a PEM text holds no chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not PEM.
    #[error("not PEM text")]
    Malformed,
    /// PEM of something else.
    #[error("no PEM block \"CERTIFICATE\" found")]
    NoCertificate,
    /// A block that has no place among certificates.
    #[error("PEM block {0:?} stands where only \"CERTIFICATE\" is expected")]
    OtherBlock(String),
    /// A block without a certificate in it.
    #[error("certificate {0} of the PEM text is malformed")]
    Certificate(usize),
}

/// Reads one or more certificates, in order. Nothing else may stand in the text.
///
/// # Errors
/// The text is not PEM, holds no certificate, or holds something else too.
pub fn chain_from_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let blocks = pem::parse_many(text).map_err(|_malformed| PemError::Malformed)?;
    if blocks.is_empty() {
        return Err(PemError::NoCertificate);
    }
    let mut chain = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        if block.tag() != TAG {
            return Err(PemError::OtherBlock(block.tag().to_owned()));
        }
        let der = block.into_contents();
        if !matches!(X509Certificate::from_der(&der), Ok((&[], _))) {
            return Err(PemError::Certificate(index + 1));
        }
        chain.push(CertificateDer::from(der));
    }
    Ok(chain)
}

/// The certificates as PEM, in order.
pub fn chain_to_pem<'a, C>(chain: impl IntoIterator<Item = &'a C>) -> String
where
    C: AsRef<[u8]> + 'a,
{
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let blocks = chain
        .into_iter()
        .map(|der| pem::Pem::new(TAG, der.as_ref()));
    blocks
        .map(|block| pem::encode_config(&block, config))
        .collect()
}

/// The certificates one after the other, as the Workload API carries them.
pub fn concatenated<'a, C>(chain: impl IntoIterator<Item = &'a C>) -> Vec<u8>
where
    C: AsRef<[u8]> + 'a,
{
    let mut out = Vec::new();
    for der in chain {
        out.extend_from_slice(der.as_ref());
    }
    out
}

/// Takes apart what [`concatenated`] joined.
///
/// # Errors
/// The bytes are not whole certificates, one after the other.
pub fn split(mut der: &[u8]) -> Result<Vec<CertificateDer<'static>>, ProfileError> {
    let mut chain = Vec::new();
    while !der.is_empty() {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_malformed| ProfileError::Malformed)?;
        chain.push(CertificateDer::from(certificate.as_raw().to_vec()));
        der = rest;
    }
    Ok(chain)
}

const TAG: &str = "CERTIFICATE";
