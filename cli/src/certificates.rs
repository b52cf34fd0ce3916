//! Certificates on the way to people: DER taken apart, PEM put together.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// One certificate of a chain or a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The whole of it.
    pub(crate) der: Vec<u8>,
    /// Not valid before.
    pub(crate) not_before: OffsetDateTime,
    /// Not valid after.
    pub(crate) not_after: OffsetDateTime,
}

/// The certificates that stand one after the other in `der`, all of them.
pub(crate) fn split(der: &[u8]) -> anyhow::Result<Vec<Certificate>> {
    let mut certificates = Vec::new();
    let mut rest = der;
    while !rest.is_empty() {
        let number = certificates.len() + 1;
        let (after, parsed) = X509Certificate::from_der(rest)
            .with_context(|| format!("certificate {number} is not an X.509 certificate in DER"))?;
        let length = rest.len() - after.len();
        certificates.push(Certificate {
            der: rest.get(..length).unwrap_or_default().to_vec(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
        });
        rest = after;
    }
    Ok(certificates)
}

/// Certificates in DER as PEM blocks, one after the other.
pub(crate) fn pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let blocks = certificates.into_iter();
    blocks.map(|der| pem_block("CERTIFICATE", der)).collect()
}

/// One PEM block with lines of 64 characters.
pub(crate) fn pem_block(label: &str, der: &[u8]) -> String {
    /// 48 bytes are 64 characters of base64 (RFC 7468 section 2).
    const LINE: usize = 48;
    let mut block = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE) {
        STANDARD.encode_string(line, &mut block);
        block.push('\n');
    }
    block + "-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn certificates_in_a_row_are_told_apart() {
        let (first, second) = (certificate(), certificate());
        let found = split(&[first.clone(), second.clone()].concat()).unwrap();
        let ders = found.into_iter().map(|found| found.der).collect::<Vec<_>>();
        assert_eq!(ders, [first, second]);
        assert_eq!(split(&[]).unwrap(), []);
    }

    #[test]
    fn half_a_certificate_is_refused_with_its_place() {
        let mut row = [certificate(), certificate()].concat();
        row.pop();
        let error = split(&row).unwrap_err();
        assert_eq!(
            error.to_string(),
            "certificate 2 is not an X.509 certificate in DER"
        );
    }

    #[test]
    fn our_pem_is_what_others_write() {
        let der = certificate();
        let theirs = pem::encode_config(
            &pem::Pem::new("CERTIFICATE", der.clone()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        );
        assert_eq!(pem([der.as_slice()]), theirs);
    }
}
