//! Who is trusted: the authorities of each trust domain, and the check of a peer's chain against
//! them.
//!
//! webpki builds and verifies the path. It does not know SPIFFE and skips some of RFC 5280 for
//! trust anchors; what it leaves out is added here: the profile of the leaf, the choice of roots by
//! the leaf's own trust domain, the validity and path length of roots, and the key usage of
//! intermediates. Name constraints on URIs, which X509-SVID §4.2 leaves to everyone's choice,
//! webpki does not evaluate: whatever stands below them is refused.

mod early;
mod revoked;

use std::{
    cell::Cell,
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use spiffe::{SpiffeId, TrustDomain};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath};

use crate::{
    bundle::Bundle,
    crypto,
    x509::{self, Authority, Leaf, ProfileError, Serial},
};
use early::{OverOriginal, Readable};
use revoked::Revoked;
pub(crate) use revoked::read as read_revocation_list;
pub use revoked::{RevocationList, RevocationListError};

/// The authorities of every trust domain that is trusted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trust {
    domains: HashMap<TrustDomain, Anchors>,
}

/// What a chain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The peer is a TLS client.
    Client,
    /// The peer is a TLS server.
    Server,
}

/// Authorities that a chain may lead to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Anchors {
    issuers: Issuers,
    anchors: Vec<TrustAnchor<'static>>,
    /// Of the anchor at the same index.
    roots: Vec<Root>,
    revoked: Revoked,
}

/// What a certificate needs to sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Issuers {
    /// What X509-SVID asks of an authority.
    Svid,
    /// What RFC 5280 asks in any PKI.
    #[default]
    Pki,
}

/// Why a chain is not trusted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// No certificate at all.
    #[error("the peer presented no certificate")]
    EmptyChain,
    /// The leaf is no X509-SVID.
    #[error("the peer's certificate is no X509-SVID: {0}")]
    Leaf(#[source] ProfileError),
    /// No authorities for the leaf's trust domain.
    #[error("no authorities are known for the trust domain of {0}; federate with it to trust it")]
    UnknownTrustDomain(SpiffeId),
    /// No path to an authority.
    #[error("the certificate chain does not lead to a trusted authority: {0}")]
    Chain(#[source] webpki::Error),
    /// The authority at the end of the path is not valid now.
    #[error("the authority that the certificate chain leads to is expired or not valid yet")]
    AuthorityValidity,
    /// The authority at the end of the path allows fewer intermediates.
    #[error(
        "the authority allows {allowed} intermediate certificates below it, the chain has {found}"
    )]
    PathLength {
        /// By the authority's path length constraint.
        allowed: u32,
        /// On the path.
        found: usize,
    },
    /// A certificate of the chain was revoked.
    #[error("certificate {serial} was revoked by its issuer, {issuer}")]
    Revoked {
        /// Which one.
        serial: Serial,
        /// Who signed it, and says so.
        issuer: String,
    },
    /// Nobody knows what was revoked since.
    #[error(
        "what {issuer} revoked is not known: its list is out of date, and its certificates are \
         refused until there is a newer one"
    )]
    RevocationsOutOfDate {
        /// Who signed the certificate.
        issuer: String,
    },
    /// An intermediate that may not sign.
    #[error("an intermediate certificate may not sign: {0}")]
    Intermediate(#[source] ProfileError),
}

impl Trust {
    /// Trusts the X.509 authorities of `bundles`, each for its own trust domain. An authority that
    /// is no certificate authority is not trusted; reading a bundle refuses those.
    pub fn new<'a>(bundles: impl IntoIterator<Item = &'a Bundle>) -> Self {
        let domains = bundles.into_iter().map(|bundle| {
            let authorities = bundle.x509_authorities.iter();
            let anchors = authorities
                .filter_map(|authority| Anchor::parse(Issuers::Svid, &authority.der).ok());
            (
                bundle.trust_domain.clone(),
                Anchors::of(Issuers::Svid, anchors),
            )
        });
        Self {
            domains: domains.collect(),
        }
    }

    /// The same, but for what these lists say was revoked.
    #[must_use]
    pub fn without(mut self, lists: &[RevocationList]) -> Self {
        for anchors in self.domains.values_mut() {
            let authorities = anchors.roots.iter().map(|root| &root.authority);
            anchors.revoked = Revoked::new(lists, authorities);
        }
        self
    }

    /// The issuers of lists that no authority signed: they count only for chains of which an
    /// intermediate did.
    pub fn strange_revocations(&self) -> Vec<String> {
        let strange = |anchors: &Anchors| -> Vec<RevocationList> {
            anchors.revoked.of_others().cloned().collect()
        };
        let mut domains = self.domains.values();
        let mut lists = domains.next().map(strange).unwrap_or_default();
        for anchors in domains {
            let others = strange(anchors);
            lists.retain(|list| others.contains(list));
        }
        lists.iter().map(|list| list.issuer().to_owned()).collect()
    }

    /// Verifies a peer's chain, leaf first, and tells who the peer is.
    ///
    /// # Errors
    /// The leaf is no X509-SVID, its trust domain is unknown, or no path of its chain leads to an
    /// authority that may be followed.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        usage: Usage,
        now: SystemTime,
    ) -> Result<Leaf, VerifyError> {
        let (leaf, intermediates) = chain.split_first().ok_or(VerifyError::EmptyChain)?;
        self.verify_parts(leaf, intermediates, usage, now)
    }

    /// [`Self::verify`] for a chain that is in two parts already.
    pub(crate) fn verify_parts(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: Usage,
        now: SystemTime,
    ) -> Result<Leaf, VerifyError> {
        let checked = x509::check_svid_leaf(leaf).map_err(VerifyError::Leaf)?;
        let Some(anchors) = self.anchors(checked.id.trust_domain()) else {
            return Err(VerifyError::UnknownTrustDomain(checked.id));
        };
        let purpose = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let algorithms = crypto::provider().signature_verification_algorithms.all;
        let chain = Chain {
            leaf,
            intermediates,
            algorithms,
        };
        anchors.verify(&chain, purpose, now)?;
        Ok(checked)
    }

    /// Whether any authority of `trust_domain` is trusted.
    pub fn knows(&self, trust_domain: &TrustDomain) -> bool {
        self.anchors(trust_domain).is_some()
    }

    /// The trust domains that have authorities, in no order.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.domains.keys()
    }

    fn anchors(&self, trust_domain: &TrustDomain) -> Option<&Anchors> {
        // X509-SVID §6.2 and SPIFFE bundle §4.1.3: a bundle without authorities trusts nobody.
        self.domains
            .get(trust_domain)
            .filter(|anchors| !anchors.anchors.is_empty())
    }
}

impl Anchors {
    /// Trusts `certificates` of any PKI, which have to be certificate authorities.
    ///
    /// # Errors
    /// One of them is malformed, or no authority.
    pub fn parse(certificates: &[CertificateDer<'_>]) -> Result<Self, ProfileError> {
        let mut anchors = Self::default();
        certificates
            .iter()
            .try_for_each(|certificate| anchors.add(certificate))?;
        Ok(anchors)
    }

    fn of(issuers: Issuers, anchors: impl Iterator<Item = Anchor>) -> Self {
        let (anchors, roots) = anchors.map(|anchor| (anchor.anchor, anchor.root)).unzip();
        Self {
            issuers,
            anchors,
            roots,
            revoked: Revoked::default(),
        }
    }

    /// Trusts `certificate` too, which has to be a certificate authority.
    ///
    /// # Errors
    /// The certificate is malformed, or no authority.
    pub fn add(&mut self, certificate: &CertificateDer<'_>) -> Result<(), ProfileError> {
        let Anchor { anchor, root } = Anchor::parse(self.issuers, certificate)?;
        self.anchors.push(anchor);
        self.roots.push(root);
        Ok(())
    }

    /// Verifies a chain, leaf first, of certificates that are no SVIDs, whatever their purpose.
    /// Node attestation by certificate uses it. Gives the issuers on the path that was
    /// verified: the intermediates that it needed, from the leaf up, and the authority last.
    ///
    /// # Errors
    /// The chain is empty, or no path of it leads to an authority that may be followed.
    pub fn verify_any_purpose(
        &self,
        chain: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
        let readable = Readable::of(chain);
        let readable = readable.ok_or(VerifyError::Chain(webpki::Error::UnknownIssuer))?;
        let algorithms = readable.algorithms();
        let algorithms: Vec<_> = algorithms.iter().map(OverOriginal::as_dyn).collect();
        let (leaf, intermediates) = readable
            .chain
            .split_first()
            .ok_or(VerifyError::EmptyChain)?;
        let chain = Chain {
            leaf,
            intermediates,
            algorithms: &algorithms,
        };
        let issuers = self.verify(&chain, AnyPurpose, now)?.into_iter();
        Ok(issuers.map(|read| readable.original(read)).collect())
    }

    fn verify(
        &self,
        chain: &Chain<'_, '_>,
        purpose: impl ExtendedKeyUsageValidator,
        now: SystemTime,
    ) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
        let end_entity = EndEntityCert::try_from(chain.leaf).map_err(VerifyError::Chain)?;
        // What a candidate path failed for; webpki itself has no words for it.
        let refusal = Cell::new(None);
        let acceptable = |path: &VerifiedPath<'_>| {
            self.check_path(path, now).map_err(|error| {
                refusal.set(Some(error));
                webpki::Error::UnknownIssuer
            })
        };
        let outcome = end_entity.verify_for_usage(
            chain.algorithms,
            &self.anchors,
            chain.intermediates,
            unix_time(now),
            purpose,
            None,
            Some(&acceptable),
        );
        match outcome {
            Ok(path) => self.issuers(&path),
            Err(error) => Err(refusal.take().unwrap_or(VerifyError::Chain(error))),
        }
    }

    fn issuers(
        &self,
        path: &VerifiedPath<'_>,
    ) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
        let intermediates = path.intermediate_certificates();
        let mut issuers: Vec<_> = intermediates.map(|ca| ca.der().into_owned()).collect();
        issuers.push(self.end_of(path)?.der.clone());
        Ok(issuers)
    }

    fn end_of(&self, path: &VerifiedPath<'_>) -> Result<&Root, VerifyError> {
        // The path holds a reference into our own list.
        let mut anchors = self.anchors.iter().zip(&self.roots);
        anchors
            .find(|(anchor, _)| std::ptr::eq(*anchor, path.anchor()))
            .map(|(_, root)| root)
            .ok_or(VerifyError::Chain(webpki::Error::UnknownIssuer))
    }

    fn check_path(&self, path: &VerifiedPath<'_>, now: SystemTime) -> Result<(), VerifyError> {
        let root = &self.end_of(path)?.authority;
        if now < root.not_before || now > root.not_after {
            return Err(VerifyError::AuthorityValidity);
        }
        let mut found = 0;
        let mut below = Serial::from_bytes(path.end_entity().serial());
        for intermediate in path.intermediate_certificates() {
            let issuer = self.issuers.check(&intermediate.der());
            let issuer = issuer.map_err(VerifyError::Intermediate)?;
            self.revoked.check_of_intermediate(&below, &issuer, now)?;
            below = Serial::from_bytes(intermediate.serial());
            found += 1;
        }
        self.revoked.check_of_authority(&below, root, now)?;
        match root.path_length {
            Some(allowed) if usize::try_from(allowed).is_ok_and(|allowed| found > allowed) => {
                Err(VerifyError::PathLength { allowed, found })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Issuers {
    fn check(self, der: &[u8]) -> Result<Authority, ProfileError> {
        match self {
            Self::Svid => x509::check_authority(der),
            Self::Pki => x509::check_issuer(der),
        }
    }
}

/// A chain to verify, and what its signatures are verified with.
struct Chain<'c, 'd> {
    leaf: &'c CertificateDer<'d>,
    intermediates: &'c [CertificateDer<'d>],
    algorithms: &'c [&'c dyn SignatureVerificationAlgorithm],
}

struct Anchor {
    anchor: TrustAnchor<'static>,
    root: Root,
}

impl Anchor {
    fn parse(issuers: Issuers, der: &CertificateDer<'_>) -> Result<Self, ProfileError> {
        let authority = issuers.check(der)?;
        let anchor =
            webpki::anchor_from_trusted_cert(der).map_err(|_refused| ProfileError::Malformed)?;
        Ok(Self {
            anchor: anchor.to_owned(),
            root: Root {
                der: der.clone().into_owned(),
                authority,
            },
        })
    }
}

/// What webpki's anchor does not keep of an authority's certificate.
#[derive(Debug, Clone, PartialEq)]
struct Root {
    der: CertificateDer<'static>,
    authority: Authority,
}

struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn unix_time(now: SystemTime) -> UnixTime {
    // A clock before 1970 finds every certificate not valid yet.
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixTime::since_unix_epoch(since)
}

#[cfg(test)]
mod tests;
