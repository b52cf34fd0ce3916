//! Certificates that their issuers revoked (RFC 5280 §5).
//!
//! A list counts for the certificates of whoever signed it: an authority, or an intermediate that
//! an authority signed; of one that states what its key is for, that has to be the signing of
//! lists. Of who sends no list nothing is revoked. One that is out of date (`nextUpdate`) may hide
//! what was revoked since, so nothing of its issuer is believed until there is a newer one: as with
//! Envoy, whereas go-spiffe reads no lists at all.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use rustls_pki_types::CertificateRevocationListDer;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::VerifyError;
use crate::{
    crypto::{self, Scheme},
    signature_algorithm::SignatureAlgorithm,
    unix,
    x509::{Authority, Serial},
};

/// A list of certificates that were revoked, read whole.
#[derive(Debug, Clone)]
pub struct RevocationList(Arc<List>);

#[derive(Debug)]
struct List {
    der: Vec<u8>,
    /// Its issuer's name in DER, and for people.
    issuer_der: Vec<u8>,
    issuer: String,
    next_update: SystemTime,
    serials: BTreeSet<Serial>,
    signed: Vec<u8>,
    scheme: Scheme,
    signature: Vec<u8>,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of revoked certificates cannot be read: {0}")]
pub struct RevocationListError(String);

/// The lists that count for some authorities.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Revoked(Vec<Signed>);

/// A list, and which of the authorities signed it: that is found out once.
#[derive(Debug, Clone, PartialEq)]
struct Signed {
    list: RevocationList,
    by: Vec<Authority>,
}

/// Reads a list as webpki takes it: whole, of this version, and nothing in it that would have to be
/// understood.
///
/// # Errors
/// It is none, or has something that is not understood.
pub(crate) fn read(
    list: &CertificateRevocationListDer<'_>,
) -> Result<CertRevocationList<'static>, RevocationListError> {
    let read = OwnedCertRevocationList::from_der(list).map(CertRevocationList::from);
    read.map_err(|why| RevocationListError(why.to_string()))
}

impl RevocationList {
    /// Reads a list.
    ///
    /// # Errors
    /// It is none, is too large, or is signed in a way that is not supported.
    pub fn parse(der: &[u8]) -> Result<Self, RevocationListError> {
        let refused = |why: &str| RevocationListError(why.to_owned());
        if der.len() > LARGEST {
            return Err(refused("it has more than 1 MiB"));
        }
        read(&CertificateRevocationListDer::from(der))?;
        let parsed = CertificateRevocationList::from_der(der);
        let (rest, list) = parsed.map_err(|why| refused(&why.to_string()))?;
        if !rest.is_empty() {
            return Err(refused("something follows it"));
        }
        let name = list.signature_algorithm.algorithm.to_id_string();
        let algorithm = SignatureAlgorithm::named(&name);
        let algorithm = algorithm
            .ok_or_else(|| refused(&format!("its signature algorithm {name} is not supported")))?;
        let next_update = list.next_update();
        let next_update = next_update.and_then(|time| unix::time(time.timestamp()));
        let revoked = list.iter_revoked_certificates();
        Ok(Self(Arc::new(List {
            der: der.to_vec(),
            issuer_der: list.issuer().as_raw().to_vec(),
            issuer: list.issuer().to_string(),
            next_update: next_update.ok_or_else(|| refused("it does not say when it ends"))?,
            serials: revoked
                .map(|certificate| Serial::from_bytes(certificate.raw_serial()))
                .collect(),
            signed: list.tbs_cert_list.as_ref().to_vec(),
            scheme: algorithm.scheme,
            signature: list.signature_value.data.to_vec(),
        })))
    }

    /// Who says so.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    fn is_of(&self, authority: &Authority) -> bool {
        let List {
            signed,
            scheme,
            signature,
            ..
        } = &*self.0;
        let is_named = self.0.issuer_der == authority.subject_der;
        let may = is_named && authority.may_sign_revocations;
        may && crypto::verify(&authority.spki_der, *scheme, signed, signature).is_ok()
    }

    fn check(&self, serial: &Serial, now: SystemTime) -> Result<(), VerifyError> {
        let issuer = || self.issuer().to_owned();
        if self.0.serials.contains(serial) {
            let (serial, issuer) = (serial.clone(), issuer());
            return Err(VerifyError::Revoked { serial, issuer });
        }
        match self.0.next_update > now {
            true => Ok(()),
            false => Err(VerifyError::RevocationsOutOfDate { issuer: issuer() }),
        }
    }
}

impl PartialEq for RevocationList {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Revoked {
    /// Of these lists, those that one of `authorities` signed, or somebody whom nobody knows here:
    /// an intermediate may have.
    pub(super) fn new<'a>(
        lists: &[RevocationList],
        authorities: impl Iterator<Item = &'a Authority> + Clone,
    ) -> Self {
        let signed = |list: &RevocationList| Signed {
            list: list.clone(),
            by: authorities
                .clone()
                .filter(|it| list.is_of(it))
                .cloned()
                .collect(),
        };
        Self(lists.iter().map(signed).collect())
    }

    /// Whether none of the lists of `authority`, which signs for all of them, has the certificate.
    pub(super) fn check_of_authority(
        &self,
        serial: &Serial,
        authority: &Authority,
        now: SystemTime,
    ) -> Result<(), VerifyError> {
        let own = self.0.iter().filter(|it| it.by.contains(authority));
        first_objection(own.map(|it| it.list.check(serial, now)))
    }

    /// The same of an intermediate.
    pub(super) fn check_of_intermediate(
        &self,
        serial: &Serial,
        intermediate: &Authority,
        now: SystemTime,
    ) -> Result<(), VerifyError> {
        let own = self.0.iter().filter(|it| it.list.is_of(intermediate));
        first_objection(own.map(|it| it.list.check(serial, now)))
    }

    /// The lists that none of the authorities signed.
    pub(super) fn of_others(&self) -> impl Iterator<Item = &RevocationList> {
        let others = self.0.iter().filter(|it| it.by.is_empty());
        others.map(|it| &it.list)
    }
}

/// That a certificate is revoked says more than that a list is old.
fn first_objection(
    checks: impl Iterator<Item = Result<(), VerifyError>>,
) -> Result<(), VerifyError> {
    let mut objection = Ok(());
    for check in checks {
        match check {
            Err(revoked @ VerifyError::Revoked { .. }) => return Err(revoked),
            Err(other) => objection = Err(other),
            Ok(()) => {}
        }
    }
    objection
}

const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyUsagePurpose, SerialNumber};
    use rustls_pki_types::CertificateDer;

    use super::*;
    use crate::{
        testing::{Ca, now},
        trust::{Trust, Usage},
    };

    const WEB: &str = "spiffe://example.org/web";
    const HOUR: i64 = 3600;

    fn numbered(serial: u64) -> impl FnOnce(&mut CertificateParams) {
        move |params| params.serial_number = Some(SerialNumber::from(serial))
    }

    fn leaf(ca: &Ca, serial: u64) -> CertificateDer<'static> {
        ca.leaf_with(WEB, numbered(serial)).der
    }

    /// What is said of a chain when these lists came with the bundle of `root`.
    fn verify(
        root: &Ca,
        lists: &[Vec<u8>],
        chain: &[CertificateDer<'static>],
    ) -> Result<(), VerifyError> {
        let lists: Vec<_> = lists
            .iter()
            .map(|der| RevocationList::parse(der).expect("list"))
            .collect();
        let trust = Trust::new([&root.bundle("example.org")]).without(&lists);
        let client = trust.verify(chain, Usage::Client, now());
        assert_eq!(client, trust.verify(chain, Usage::Server, now()));
        client.map(drop)
    }

    #[test]
    fn a_revoked_leaf_is_refused_with_its_serial_and_issuer_and_others_are_not() {
        let root = Ca::root("example.org");
        let list = [root.revokes(&[7, 300], HOUR)];
        for serial in [7, 300] {
            let refused = verify(&root, &list, &[leaf(&root, serial)]).expect_err("revoked");
            let told = refused.to_string();
            let wanted = format!("certificate {serial} was revoked by its issuer, CN=root");
            assert_eq!(told, wanted);
        }
        assert_eq!(verify(&root, &list, &[leaf(&root, 8)]), Ok(()));
        assert_eq!(verify(&root, &[], &[leaf(&root, 7)]), Ok(()));
    }

    #[test]
    fn a_list_of_somebody_else_or_of_who_may_not_sign_any_revokes_nothing() {
        let root = Ca::root("example.org");
        // The same name, another key: as authorities have that rotate.
        let twin = Ca::root("example.org");
        let list = [twin.revokes(&[7], HOUR)];
        assert_eq!(verify(&root, &list, &[leaf(&root, 7)]), Ok(()));
        let mut forged = root.revokes(&[7], HOUR);
        *forged.last_mut().expect("byte") ^= 1;
        assert_eq!(verify(&root, &[forged], &[leaf(&root, 7)]), Ok(()));
        // The same name and key, in a certificate that is for other signatures alone.
        let (full, bare) = Ca::root_and_bare(|params| {
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        });
        let list = [full.revokes(&[7], HOUR)];
        assert!(verify(&full, &list, &[leaf(&full, 7)]).is_err());
        assert_eq!(verify(&bare, &list, &[leaf(&bare, 7)]), Ok(()));
    }

    #[test]
    fn an_intermediate_is_revoked_and_revokes() {
        let root = Ca::root("example.org");
        let middle = root.intermediate(numbered(5));
        let chain = [leaf(&middle, 7), middle.der.clone()];
        assert_eq!(verify(&root, &[root.revokes(&[7], HOUR)], &chain), Ok(()));
        for (list, serial) in [
            (root.revokes(&[5], HOUR), 5),
            (middle.revokes(&[7], HOUR), 7),
        ] {
            let refused = verify(&root, &[list], &chain).expect_err("revoked");
            let told = refused.to_string();
            assert!(
                told.starts_with(&format!("certificate {serial} was revoked")),
                "{told}"
            );
        }
    }

    #[test]
    fn a_list_that_is_out_of_date_leaves_nobody_of_its_issuer_and_still_revokes() {
        let root = Ca::root("example.org");
        let old = root.revokes(&[7], -1);
        let refused = verify(&root, std::slice::from_ref(&old), &[leaf(&root, 8)]);
        assert!(
            matches!(refused, Err(VerifyError::RevocationsOutOfDate { .. })),
            "{refused:?}"
        );
        for lists in [vec![old.clone()], vec![old, root.revokes(&[], HOUR)]] {
            let refused = verify(&root, &lists, &[leaf(&root, 7)]);
            assert!(
                matches!(refused, Err(VerifyError::Revoked { .. })),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn a_list_that_no_authority_signed_is_named() {
        let (root, other) = (Ca::root("example.org"), Ca::root("other.org"));
        let list = |ca: &Ca| RevocationList::parse(&ca.revokes(&[1], HOUR)).expect("list");
        let trust = Trust::new([&root.bundle("example.org"), &other.bundle("other.org")]);
        let known = trust.clone().without(&[list(&root), list(&other)]);
        assert!(known.strange_revocations().is_empty());
        assert_ne!(trust, known, "what changed is announced");
        let strange = trust.without(&[list(&Ca::root("x.org"))]);
        assert_eq!(strange.strange_revocations(), ["CN=root"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(at in 0usize..400, byte: u8) {
            let mut der = Ca::root("example.org").revokes(&[7], HOUR);
            if let Some(changed) = der.get_mut(at) {
                *changed = byte;
            }
            let _ = RevocationList::parse(&der);
            der.truncate(at.min(der.len() - 1));
            prop_assert!(RevocationList::parse(&der).is_err());
        }
    }
}
