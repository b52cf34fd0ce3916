//! What the Workload API says of a workload's X.509 identities, read whole or refused whole
//! (SPIFFE Workload API §4.4, §4.5, §5.2).

use std::{
    collections::{BTreeMap, HashSet},
    iter,
};

use rustls_pki_types::CertificateDer;
use signet_proto::workload::{X509Svid, X509SvidResponse};
use spiffe::{SpiffeId, TrustDomain};

use crate::{
    bundle::{Bundle, X509Authority},
    id::{self, IdError},
    key::{KeyError, PrivateKey},
    tls::{Identity, IdentityError},
    trust::{RevocationList, RevocationListError, Trust},
    x509::{self, ProfileError},
};

/// Who a workload is, and whom it trusts.
#[derive(Debug)]
pub struct X509Context {
    default: Svid,
    others: Vec<Svid>,
    /// The bundles of other trust domains. One without authorities trusts nobody.
    pub federated: BTreeMap<TrustDomain, Bundle>,
    /// What was revoked of what the authorities of all these bundles signed.
    pub revoked: Vec<RevocationList>,
}

/// One X509-SVID with what it takes to use it.
#[derive(Debug)]
pub struct Svid {
    /// The chain, ready for handshakes.
    pub identity: Identity,
    /// The key of the leaf.
    pub key: PrivateKey,
    /// The bundle of the SVID's own trust domain.
    pub bundle: Bundle,
    /// What the operator says of its use; often empty.
    pub hint: String,
}

/// Why a response is refused.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is no identity in it.
    #[error("workload response contains no svids")]
    NoSvids,
    /// An SVID that cannot be used.
    #[error("failed to parse svid entry {number} for spiffe id {id:?}: {source}")]
    Svid {
        /// Counted from zero.
        number: usize,
        /// As it was stated.
        id: String,
        /// What is wrong with it.
        source: SvidError,
    },
    /// More lists of what was revoked than anybody needs.
    #[error("{0} lists of revoked certificates are too many; at most {MOST_LISTS} are read")]
    TooManyLists(usize),
    /// A list of what was revoked that is none.
    #[error("failed to parse crl {number}: {source}")]
    List {
        /// Counted from zero.
        number: usize,
        /// What is wrong with it.
        source: RevocationListError,
    },
    /// A federated bundle of something that is no trust domain.
    #[error("failed to parse federated bundles: {0}")]
    FederatedDomain(#[source] IdError),
    /// A federated bundle that is not certificates.
    #[error("failed to parse bundle for federated domain {id:?}: {source}")]
    FederatedBundle {
        /// Whose it is said to be.
        id: String,
        /// What is wrong with it.
        source: ProfileError,
    },
}

/// Why an SVID cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SvidError {
    /// A field that has to be filled is empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The stated name is no SPIFFE ID.
    #[error("{0}")]
    Id(#[from] IdError),
    /// The chain is not certificates.
    #[error("the chain is malformed: {0}")]
    Chain(#[source] ProfileError),
    /// The key is not one.
    #[error("the private key is unreadable: {0}")]
    Key(#[from] KeyError),
    /// Chain and key make no identity.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The certificate has another name than was stated.
    #[error("the certificate is that of \"{0}\"")]
    OtherId(SpiffeId),
    /// The bundle is not certificates.
    #[error("failed to parse trust bundle: {0}")]
    Bundle(#[source] ProfileError),
}

impl X509Context {
    /// Reads a response. Every SVID in it has to be usable; of those that share a hint, the first
    /// counts (§5.2.1).
    ///
    /// # Errors
    /// The response has no SVID, or something in it cannot be used; then nothing of it is taken.
    pub fn read(response: &X509SvidResponse) -> Result<Self, ContextError> {
        let mut federated = BTreeMap::new();
        for (id, der) in &response.federated_bundles {
            let trust_domain =
                id::parse_trust_domain_id(id).map_err(ContextError::FederatedDomain)?;
            let bundle = bundle(trust_domain.clone(), der).map_err(|source| {
                let id = id.clone();
                ContextError::FederatedBundle { id, source }
            })?;
            federated.insert(trust_domain, bundle);
        }
        let numbered = response.svids.iter().enumerate();
        let svids = numbered.map(|(number, svid)| {
            Svid::read(svid).map_err(|source| ContextError::Svid {
                number,
                id: svid.spiffe_id.clone(),
                source,
            })
        });
        let svids: Vec<Svid> = svids.collect::<Result<_, _>>()?;
        let mut hints = HashSet::new();
        let mut counting = svids
            .into_iter()
            .filter(|svid| svid.hint.is_empty() || hints.insert(svid.hint.clone()));
        Ok(Self {
            default: counting.next().ok_or(ContextError::NoSvids)?,
            others: counting.collect(),
            federated,
            revoked: revoked(&response.crl)?,
        })
    }

    /// Every SVID, the default identity (§8) first.
    pub fn svids(&self) -> impl Iterator<Item = &Svid> {
        iter::once(&self.default).chain(&self.others)
    }

    /// The default identity (§8).
    pub fn into_default(self) -> Svid {
        self.default
    }

    /// Whom the workload trusts. The bundle of its own trust domain is its SVID's, whatever is
    /// said of it elsewhere.
    pub fn trust(&self) -> Trust {
        let own = self.svids().map(|svid| &svid.bundle);
        Trust::new(self.federated.values().chain(own)).without(&self.revoked)
    }
}

impl Svid {
    /// Reads one SVID of a response.
    ///
    /// # Errors
    /// A field is missing or malformed, or the fields do not belong together.
    pub fn read(svid: &X509Svid) -> Result<Self, SvidError> {
        for (empty, field) in [
            (svid.spiffe_id.is_empty(), "spiffe_id"),
            (svid.x509_svid.is_empty(), "x509_svid"),
            (svid.x509_svid_key.is_empty(), "x509_svid_key"),
            (svid.bundle.is_empty(), "bundle"),
        ] {
            if empty {
                return Err(SvidError::Missing(field));
            }
        }
        let stated = id::parse(&svid.spiffe_id)?;
        let key = PrivateKey::from_pkcs8(&svid.x509_svid_key)?;
        let chain = x509::split(&svid.x509_svid).map_err(SvidError::Chain)?;
        let identity = Identity::new(chain, &key)?;
        if *identity.id() != stated {
            return Err(SvidError::OtherId(identity.id().clone()));
        }
        let trust_domain = stated.trust_domain().clone();
        Ok(Self {
            identity,
            key,
            bundle: bundle(trust_domain, &svid.bundle).map_err(SvidError::Bundle)?,
            hint: svid.hint.clone(),
        })
    }
}

/// Each list is whole, or nothing of the response counts. An empty one is none.
fn revoked(lists: &[impl AsRef<[u8]>]) -> Result<Vec<RevocationList>, ContextError> {
    if lists.len() > MOST_LISTS {
        return Err(ContextError::TooManyLists(lists.len()));
    }
    let numbered = lists.iter().map(AsRef::as_ref).enumerate();
    let numbered = numbered.filter(|(_, der): &(usize, &[u8])| !der.is_empty());
    let lists = numbered.map(|(number, der)| {
        RevocationList::parse(der).map_err(|source| ContextError::List { number, source })
    });
    lists.collect()
}

/// Certificates are read here; which of them is trusted is [`Trust`]'s question.
fn bundle(trust_domain: TrustDomain, der: &[u8]) -> Result<Bundle, ProfileError> {
    let authority = |der: CertificateDer<'static>| X509Authority {
        der,
        tainted: false,
    };
    Ok(Bundle {
        x509_authorities: x509::split(der)?.into_iter().map(authority).collect(),
        ..Bundle::empty(trust_domain)
    })
}

/// An authority has one, or a few.
const MOST_LISTS: usize = 64;

#[cfg(test)]
mod tests;
