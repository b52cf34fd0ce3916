//! Chains with certificates that are valid since before 1970, such as those that Go makes when no
//! start is said (the year 1). webpki cannot read such a time.
//!
//! It is given a copy in which the validity begins with 1970, which for any clock means the same.
//! Signatures are verified over what was signed.

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{crypto, der};

/// A chain as webpki can read it.
#[derive(Debug)]
pub(super) struct Readable<'a> {
    pub(super) chain: Vec<CertificateDer<'a>>,
    changed: Vec<Changed<'a>>,
}

/// A certificate that is read otherwise than it was signed.
#[derive(Debug)]
struct Changed<'a> {
    original: &'a CertificateDer<'a>,
    read: CertificateDer<'static>,
}

/// An algorithm that verifies what was signed instead of what is read.
#[derive(Debug)]
pub(super) struct OverOriginal<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    changed: &'a [Changed<'a>],
}

impl<'a> Readable<'a> {
    /// None if the chain also has a certificate that says what a copy says: nobody issues both.
    pub(super) fn of(chain: &'a [CertificateDer<'a>]) -> Option<Self> {
        let copy = |original| {
            let read = since_1970(original)?;
            Some(Changed { original, read })
        };
        let changed: Vec<_> = chain.iter().filter_map(copy).collect();
        let is_copied = |der: &CertificateDer<'_>| {
            let copied = |changed: &Changed<'_>| signed_part(&changed.read) == signed_part(der);
            changed.iter().any(copied)
        };
        if chain.iter().any(is_copied) {
            return None;
        }
        let read = |der: &'a CertificateDer<'a>| {
            let copy = changed.iter().find(|changed| changed.original == der);
            copy.map_or_else(|| der.clone(), |copy| copy.read.clone())
        };
        let chain = chain.iter().map(read).collect();
        Some(Self { chain, changed })
    }

    /// The algorithms to verify this chain with.
    pub(super) fn algorithms(&self) -> Vec<OverOriginal<'_>> {
        let all = crypto::provider().signature_verification_algorithms.all;
        let over = |algorithm: &&'static dyn SignatureVerificationAlgorithm| OverOriginal {
            algorithm: *algorithm,
            changed: &self.changed,
        };
        all.iter().map(over).collect()
    }

    /// The certificate that was presented, of one that was read.
    pub(super) fn original(&self, read: CertificateDer<'static>) -> CertificateDer<'static> {
        let changed = self.changed.iter().find(|changed| changed.read == read);
        changed.map_or(read, |changed| changed.original.clone().into_owned())
    }
}

impl OverOriginal<'_> {
    pub(super) fn as_dyn(&self) -> &dyn SignatureVerificationAlgorithm {
        self
    }
}

impl SignatureVerificationAlgorithm for OverOriginal<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_read = |changed: &&Changed<'_>| signed_part(&changed.read) == Some(message);
        let changed = self.changed.iter().find(is_read);
        let message = changed
            .and_then(|changed| signed_part(changed.original))
            .unwrap_or(message);
        self.algorithm
            .verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

/// The certificate with a validity that begins with 1970, if it begins before.
fn since_1970(certificate: &CertificateDer<'_>) -> Option<CertificateDer<'static>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    if parsed.validity().not_before.timestamp() >= 0 {
        return None;
    }
    let not_before = not_before(certificate)?;
    let start: &[u8] = match (not_before.tag, not_before.length) {
        (UTC_TIME, 13) => b"700101000000Z",
        (GENERALIZED_TIME, 15) => b"19700101000000Z",
        _ => return None,
    };
    let mut read = certificate.to_vec();
    let end = not_before.offset.checked_add(not_before.length)?;
    read.get_mut(not_before.offset..end)?.copy_from_slice(start);
    Some(CertificateDer::from(read))
}

/// Where the time stands from which a certificate is valid.
struct NotBefore {
    tag: u8,
    offset: usize,
    length: usize,
}

fn not_before(certificate: &[u8]) -> Option<NotBefore> {
    let (_, (body, _)) = der::first(certificate)?;
    let (_, (fields, after_fields)) = der::first(body)?;
    let (tag, (_, mut rest)) = der::first(fields)?;
    // Serial number, algorithm and issuer; the version before them may be left out.
    for _ in 0..if tag == VERSION { 3 } else { 2 } {
        let (_, (_, after)) = der::first(rest)?;
        rest = after;
    }
    let (_, (validity, after_validity)) = der::first(rest)?;
    let (tag, (time, after_time)) = der::first(validity)?;
    let after = after_time.len() + after_validity.len() + after_fields.len();
    Some(NotBefore {
        tag,
        offset: certificate.len().checked_sub(after + time.len())?,
        length: time.len(),
    })
}

/// What the issuer of a certificate signs.
fn signed_part(certificate: &[u8]) -> Option<&[u8]> {
    let (_, (body, _)) = der::first(certificate)?;
    let (_, (_, after)) = der::first(body)?;
    body.get(..body.len().checked_sub(after.len())?)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, date_time_ymd};

    use crate::{
        testing::{Ca, Issued, now},
        trust::{Anchors, Trust, Usage, VerifyError},
        x509,
    };

    use super::*;

    const WEB: &str = "spiffe://example.org/web";

    fn since(year: i32) -> impl Fn(&mut CertificateParams) {
        move |params| params.not_before = date_time_ymd(year, 1, 1)
    }

    /// As Go makes them when nothing is said: without a start, and a CA without key usage.
    fn as_go(params: &mut CertificateParams) {
        params.key_usages.clear();
        since(1)(params);
    }

    fn anchors(root: &Ca) -> Anchors {
        Anchors::parse(std::slice::from_ref(&root.der)).expect("anchors")
    }

    #[test]
    fn certificates_without_a_start_verify_for_a_pki_and_come_back_as_they_were() {
        let root = Ca::root_with("example.org", as_go);
        let middle = root.intermediate(as_go);
        for year in [1, 1949, 1950, 1969] {
            let Issued { der: leaf, .. } = middle.leaf_with(WEB, since(year));
            let issuers = anchors(&root).verify_any_purpose(&[leaf, middle.der.clone()], now());
            let wanted = vec![middle.der.clone(), root.der.clone()];
            assert_eq!(issuers, Ok(wanted), "{year}");
        }
    }

    #[test]
    fn what_was_signed_is_what_counts() {
        let root = Ca::root_with("example.org", as_go);
        let stranger = Ca::root_with("example.org", as_go);
        let leaf = root.leaf_with(WEB, since(1)).der;
        assert!(
            anchors(&stranger)
                .verify_any_purpose(std::slice::from_ref(&leaf), now())
                .is_err()
        );
        let read = since_1970(&leaf).expect("early");
        assert_eq!(x509::public_key(&read), x509::public_key(&leaf));
        assert!(
            anchors(&root)
                .verify_any_purpose(std::slice::from_ref(&read), now())
                .is_err(),
            "the copy is not what was signed"
        );
        assert!(
            anchors(&root)
                .verify_any_purpose(&[read, leaf.clone()], now())
                .is_err(),
            "not even beside what was signed"
        );
        for at in 0..leaf.len() {
            let mut changed = leaf.to_vec();
            *changed.get_mut(at).expect("byte") ^= 1;
            let outcome = anchors(&root).verify_any_purpose(&[changed.into()], now());
            assert!(outcome.is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_end_still_counts_and_a_start_in_the_future_too() {
        let root = Ca::root("example.org");
        let ended = root.leaf_with(WEB, |params| {
            since(1)(params);
            params.not_after = date_time_ymd(2021, 1, 1);
        });
        let later = root.leaf_with(WEB, since(2098));
        for leaf in [ended, later] {
            let outcome = anchors(&root).verify_any_purpose(&[leaf.der], now());
            assert!(matches!(outcome, Err(VerifyError::Chain(_))), "{outcome:?}");
        }
    }

    #[test]
    fn an_svid_without_a_start_is_refused() {
        let root = Ca::root("example.org");
        let leaf = root.leaf_with(WEB, since(1));
        let trust = Trust::new([&root.bundle("example.org")]);
        assert!(trust.verify(&[leaf.der], Usage::Client, now()).is_err());
    }
}
