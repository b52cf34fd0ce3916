//! Registration entries: which workload on which node gets which identity.

mod dns;
mod draft;
mod proto;

pub use dns::{DnsNameError, check_dns_name};
pub use draft::Draft;

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use spiffe::{SpiffeId, TrustDomain};

use crate::{
    id::IdError,
    selector::{SelectorError, Selectors},
};

/// The name of an entry: at most 255 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(Box<str>);

/// A registration entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// The identity it gives.
    pub spiffe_id: SpiffeId,
    /// The agent or node alias whose workloads it is about.
    pub parent_id: SpiffeId,
    /// What a workload has to show, all of it.
    pub selectors: Selectors,
    /// Lifetime of X509-SVIDs; `None` is the server's default.
    pub x509_svid_ttl: Option<Duration>,
    /// Lifetime of JWT-SVIDs; `None` is the server's default.
    pub jwt_svid_ttl: Option<Duration>,
    /// Trust domains whose bundles the workload also gets.
    pub federates_with: Vec<TrustDomain>,
    /// What the identity may do at the server.
    pub rights: Rights,
    /// Whether an SVID store, and not a workload, takes the SVID.
    pub store_svid: bool,
    /// Settings that most entries leave alone.
    pub attributes: Attributes,
    /// DNS names in the X509-SVID, in order.
    pub dns_names: Vec<String>,
    /// A word to the workload about what the SVID is for.
    pub hint: String,
    /// When the entry ends; `None` is never.
    pub expires_at: Option<SystemTime>,
    /// How often it was changed.
    pub revision: i64,
    /// When it was made.
    pub created_at: SystemTime,
}

/// What an identity may do at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights {
    /// Call the administrative APIs.
    pub admin: bool,
    /// Get a certificate authority of its own.
    pub downstream: bool,
}

/// Settings that most entries leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes {
    /// Make the X509-SVID only when a workload asks.
    pub disable_x509_svid_prefetch: bool,
    /// Put a `jti` claim in JWT-SVIDs.
    pub jwt_svid_include_jti: bool,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// Not an entry id.
    #[error(transparent)]
    Id(#[from] EntryIdError),
    /// Not a SPIFFE ID.
    #[error("invalid {field}: {source}")]
    SpiffeId {
        /// Which of the two.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// A SPIFFE ID of somebody else.
    #[error("invalid {field}: {id:?} is not a member of trust domain {trust_domain:?}")]
    ForeignId {
        /// Which of the two.
        field: &'static str,
        /// What was given.
        id: String,
        /// Where it should be.
        trust_domain: String,
    },
    /// The ID of the trust domain itself.
    #[error("invalid {field}: {id:?} has no path; add one that names the workload or agent")]
    NoPath {
        /// Which of the two.
        field: &'static str,
        /// What was given.
        id: String,
    },
    /// An ID that only the server gives.
    #[error("invalid spiffe ID: {0:?} is in the reserved namespace /spire; choose another path")]
    Reserved(String),
    /// No selectors.
    #[error("selector list is empty; give at least one selector")]
    NoSelectors,
    /// A malformed selector.
    #[error("invalid selector: {0}")]
    Selector(#[from] SelectorError),
    /// A lifetime below zero.
    #[error("invalid {field}: {seconds} s is negative; 0 stands for the default")]
    Ttl {
        /// Which of the two.
        field: &'static str,
        /// What was given.
        seconds: i32,
    },
    /// A time that cannot be represented.
    #[error("invalid {field}: {seconds} is no time in seconds since 1970")]
    Time {
        /// Which of them.
        field: &'static str,
        /// What was given.
        seconds: i64,
    },
    /// A malformed DNS name.
    #[error("invalid DNS name: {0}")]
    DnsName(#[from] DnsNameError),
    /// Not a trust domain.
    #[error("invalid federated trust domain: {0}")]
    FederatesWith(#[source] IdError),
    /// A hint that is too long.
    #[error("hint is too long: {0} bytes; at most {MAX_HINT} are allowed")]
    Hint(usize),
    /// Stored SVIDs go to one store.
    #[error("selector types must be the same when store SVID is enabled; found {0:?} and {1:?}")]
    MixedStores(String, String),
    /// A stored SVID cannot wait until somebody asks.
    #[error("store SVID and disable X509-SVID prefetch exclude each other; drop one of them")]
    StoreWithoutPrefetch,
}

/// Why a text is not an entry id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryIdError {
    /// Nothing given.
    #[error("entry ID is missing")]
    Missing,
    /// Longer than allowed.
    #[error("entry ID too long: {0} characters; at most {MAX_ENTRY_ID} are allowed")]
    TooLong(usize),
    /// Something that is not allowed.
    #[error("entry ID {0:?} contains invalid characters; use letters, digits, '.', '_' and '-'")]
    Characters(String),
}

impl EntryId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        if text.is_empty() {
            return Err(EntryIdError::Missing);
        }
        if text.len() > MAX_ENTRY_ID {
            return Err(EntryIdError::TooLong(text.len()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !text.bytes().all(allowed) {
            return Err(EntryIdError::Characters(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for EntryId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

const MAX_ENTRY_ID: usize = 255;
pub(crate) const MAX_HINT: usize = 1024;

#[cfg(test)]
mod tests;
