//! An entry that somebody wants: not yet stored, but checked against every rule that needs no
//! database.

use std::time::{Duration, SystemTime};

use signet_proto::spire::api::types;
use spiffe::{SpiffeId, TrustDomain};

use super::{
    Attributes, Entry, EntryError, EntryId, MAX_HINT, Rights,
    dns::check_dns_name,
    proto::{expiry, federates_with, spiffe_id, ttl},
};
use crate::selector::Selectors;

/// A checked wish for an entry. The fields mean what they mean in [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The id that the caller chose, if any.
    pub id: Option<EntryId>,
    /// The identity it gives: in the own trust domain, with a path outside `/spire`.
    pub spiffe_id: SpiffeId,
    /// The agent or node alias: in the own trust domain, with a path.
    pub parent_id: SpiffeId,
    /// At least one.
    pub selectors: Selectors,
    /// Lifetime of X509-SVIDs.
    pub x509_svid_ttl: Option<Duration>,
    /// Lifetime of JWT-SVIDs.
    pub jwt_svid_ttl: Option<Duration>,
    /// Trust domains whose bundles the workload also gets. That the bundles exist is for the store
    /// to check.
    pub federates_with: Vec<TrustDomain>,
    /// What the identity may do at the server.
    pub rights: Rights,
    /// Whether an SVID store takes the SVID.
    pub store_svid: bool,
    /// Settings that most entries leave alone.
    pub attributes: Attributes,
    /// DNS names, in order and without duplicates.
    pub dns_names: Vec<String>,
    /// A word to the workload.
    pub hint: String,
    /// When the entry ends.
    pub expires_at: Option<SystemTime>,
}

impl Draft {
    /// Reads an entry for `trust_domain` that somebody wants to create, or has merged with a
    /// change.
    ///
    /// # Errors
    /// The field that no entry of this trust domain can have, and why.
    pub fn from_proto(
        entry: &types::Entry,
        trust_domain: &TrustDomain,
    ) -> Result<Self, EntryError> {
        let draft = Self {
            id: if entry.id.is_empty() {
                None
            } else {
                Some(entry.id.parse()?)
            },
            parent_id: member("parent ID", entry.parent_id.as_ref(), trust_domain)?,
            spiffe_id: member("spiffe ID", entry.spiffe_id.as_ref(), trust_domain)?,
            selectors: Selectors::from_proto(&entry.selectors)?,
            x509_svid_ttl: ttl("X509-SVID TTL", entry.x509_svid_ttl)?,
            jwt_svid_ttl: ttl("JWT-SVID TTL", entry.jwt_svid_ttl)?,
            federates_with: federates_with(&entry.federates_with)?,
            rights: Rights {
                admin: entry.admin,
                downstream: entry.downstream,
            },
            store_svid: entry.store_svid,
            attributes: entry
                .additional_attributes
                .map(Attributes::from)
                .unwrap_or_default(),
            dns_names: dns_names(&entry.dns_names)?,
            hint: entry.hint.clone(),
            expires_at: expiry(entry.expires_at)?,
        };
        draft.check()?;
        Ok(draft)
    }

    /// The entry that comes of it under `id`, unless it changes one that stands already.
    pub fn into_entry(self, id: EntryId, now: SystemTime) -> Entry {
        Entry {
            id,
            spiffe_id: self.spiffe_id,
            parent_id: self.parent_id,
            selectors: self.selectors,
            x509_svid_ttl: self.x509_svid_ttl,
            jwt_svid_ttl: self.jwt_svid_ttl,
            federates_with: self.federates_with,
            rights: self.rights,
            store_svid: self.store_svid,
            attributes: self.attributes,
            dns_names: self.dns_names,
            hint: self.hint,
            expires_at: self.expires_at,
            revision: 0,
            created_at: now,
        }
    }

    /// What becomes of `current` when this replaces its content.
    pub fn replacing(self, current: &Entry) -> Entry {
        Entry {
            revision: current.revision.saturating_add(1),
            ..self.into_entry(current.id.clone(), current.created_at)
        }
    }

    fn check(&self) -> Result<(), EntryError> {
        // The namespace belongs to servers and agents (SPIRE: /spire/*).
        if self.spiffe_id.path() == "/spire" || self.spiffe_id.path().starts_with("/spire/") {
            return Err(EntryError::Reserved(self.spiffe_id.to_string()));
        }
        let mut selectors = self.selectors.iter();
        let first = selectors.next().ok_or(EntryError::NoSelectors)?;
        if self.hint.len() > MAX_HINT {
            return Err(EntryError::Hint(self.hint.len()));
        }
        if !self.store_svid {
            return Ok(());
        }
        if let Some(other) = selectors.find(|selector| selector.kind() != first.kind()) {
            let kinds = (first.kind().to_owned(), other.kind().to_owned());
            return Err(EntryError::MixedStores(kinds.0, kinds.1));
        }
        if self.attributes.disable_x509_svid_prefetch {
            return Err(EntryError::StoreWithoutPrefetch);
        }
        Ok(())
    }
}

fn member(
    field: &'static str,
    id: Option<&types::Spiffeid>,
    trust_domain: &TrustDomain,
) -> Result<SpiffeId, EntryError> {
    let id = spiffe_id(field, id)?;
    if id.trust_domain() != trust_domain {
        return Err(EntryError::ForeignId {
            field,
            id: id.to_string(),
            trust_domain: trust_domain.to_string(),
        });
    }
    if id.path().is_empty() {
        return Err(EntryError::NoPath {
            field,
            id: id.to_string(),
        });
    }
    Ok(id)
}

fn dns_names(names: &[String]) -> Result<Vec<String>, EntryError> {
    let mut checked = Vec::with_capacity(names.len());
    for name in names {
        check_dns_name(name)?;
        if !checked.contains(name) {
            checked.push(name.clone());
        }
    }
    Ok(checked)
}
