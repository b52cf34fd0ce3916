//! Entries on the wire.

use std::time::{Duration, SystemTime};

use signet_proto::spire::api::types;
use spiffe::{SpiffeId, TrustDomain};

use super::{Attributes, Entry, EntryError, Rights};
use crate::{id, selector::Selectors, unix};

impl Entry {
    /// Reads an entry that a server sent, all of its fields. What makes an entry acceptable to the
    /// server is the server's business; see [`super::Draft`].
    ///
    /// # Errors
    /// A field that is malformed or out of range.
    pub fn from_proto(entry: &types::Entry) -> Result<Self, EntryError> {
        let created_at = unix::time(entry.created_at).ok_or(EntryError::Time {
            field: "created at",
            seconds: entry.created_at,
        })?;
        Ok(Self {
            id: entry.id.parse()?,
            spiffe_id: spiffe_id("spiffe ID", entry.spiffe_id.as_ref())?,
            parent_id: spiffe_id("parent ID", entry.parent_id.as_ref())?,
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
            dns_names: entry.dns_names.clone(),
            hint: entry.hint.clone(),
            expires_at: expiry(entry.expires_at)?,
            revision: entry.revision_number,
            created_at,
        })
    }

    /// The entry as a message with the fields that `mask` asks for, all of them without one. The id
    /// is always there.
    pub fn to_proto(&self, mask: Option<&types::EntryMask>) -> types::Entry {
        let mask = mask.unwrap_or(&EVERYTHING);
        let seconds = |ttl: Option<Duration>| {
            ttl.map_or(0, |ttl| i32::try_from(ttl.as_secs()).unwrap_or(i32::MAX))
        };
        types::Entry {
            id: self.id.to_string(),
            spiffe_id: mask.spiffe_id.then(|| id::to_proto(&self.spiffe_id)),
            parent_id: mask.parent_id.then(|| id::to_proto(&self.parent_id)),
            selectors: when(mask.selectors, || self.selectors.to_proto()),
            x509_svid_ttl: when(mask.x509_svid_ttl, || seconds(self.x509_svid_ttl)),
            federates_with: when(mask.federates_with, || {
                self.federates_with
                    .iter()
                    .map(ToString::to_string)
                    .collect()
            }),
            admin: mask.admin && self.rights.admin,
            downstream: mask.downstream && self.rights.downstream,
            expires_at: when(mask.expires_at, || self.expires_at.map_or(0, unix::seconds)),
            dns_names: when(mask.dns_names, || self.dns_names.clone()),
            revision_number: when(mask.revision_number, || self.revision),
            store_svid: mask.store_svid && self.store_svid,
            jwt_svid_ttl: when(mask.jwt_svid_ttl, || seconds(self.jwt_svid_ttl)),
            hint: when(mask.hint, || self.hint.clone()),
            created_at: when(mask.created_at, || unix::seconds(self.created_at)),
            additional_attributes: self
                .attributes
                .to_proto()
                .filter(|_| mask.additional_attributes),
        }
    }

    /// This entry with the fields of `change` that `mask` names, all of them without one. Parse the
    /// outcome with [`super::Draft::from_proto`] before it is used.
    pub fn merged(&self, change: &types::Entry, mask: Option<&types::EntryMask>) -> types::Entry {
        let mask = mask.unwrap_or(&EVERYTHING);
        let mut merged = self.to_proto(None);
        let take = |wanted: bool| wanted.then_some(change);
        set(&mut merged.spiffe_id, take(mask.spiffe_id), |c| {
            c.spiffe_id.clone()
        });
        set(&mut merged.parent_id, take(mask.parent_id), |c| {
            c.parent_id.clone()
        });
        set(&mut merged.selectors, take(mask.selectors), |c| {
            c.selectors.clone()
        });
        set(&mut merged.x509_svid_ttl, take(mask.x509_svid_ttl), |c| {
            c.x509_svid_ttl
        });
        set(&mut merged.jwt_svid_ttl, take(mask.jwt_svid_ttl), |c| {
            c.jwt_svid_ttl
        });
        set(&mut merged.federates_with, take(mask.federates_with), |c| {
            c.federates_with.clone()
        });
        set(&mut merged.admin, take(mask.admin), |c| c.admin);
        set(&mut merged.downstream, take(mask.downstream), |c| {
            c.downstream
        });
        set(&mut merged.expires_at, take(mask.expires_at), |c| {
            c.expires_at
        });
        set(&mut merged.dns_names, take(mask.dns_names), |c| {
            c.dns_names.clone()
        });
        set(&mut merged.store_svid, take(mask.store_svid), |c| {
            c.store_svid
        });
        set(&mut merged.hint, take(mask.hint), |c| c.hint.clone());
        set(
            &mut merged.additional_attributes,
            take(mask.additional_attributes),
            |c| c.additional_attributes,
        );
        merged
    }
}

impl Attributes {
    /// As a message; `None` when all is at its default, as SPIRE leaves the field out then.
    pub fn to_proto(self) -> Option<types::entry::AdditionalAttributes> {
        (self != Self::default()).then_some(types::entry::AdditionalAttributes {
            disable_x509_svid_prefetch: self.disable_x509_svid_prefetch,
            jwt_svid_include_jti: self.jwt_svid_include_jti,
        })
    }
}

impl From<types::entry::AdditionalAttributes> for Attributes {
    fn from(attributes: types::entry::AdditionalAttributes) -> Self {
        Self {
            disable_x509_svid_prefetch: attributes.disable_x509_svid_prefetch,
            jwt_svid_include_jti: attributes.jwt_svid_include_jti,
        }
    }
}

pub(super) fn spiffe_id(
    field: &'static str,
    id: Option<&types::Spiffeid>,
) -> Result<SpiffeId, EntryError> {
    id::from_proto(id).map_err(|source| EntryError::SpiffeId { field, source })
}

pub(super) fn ttl(field: &'static str, seconds: i32) -> Result<Option<Duration>, EntryError> {
    let whole = u64::try_from(seconds).map_err(|_negative| EntryError::Ttl { field, seconds })?;
    Ok((whole > 0).then(|| Duration::from_secs(whole)))
}

pub(super) fn expiry(seconds: i64) -> Result<Option<SystemTime>, EntryError> {
    let wrong = EntryError::Time {
        field: "expiry",
        seconds,
    };
    match seconds {
        0 => Ok(None),
        ..0 => Err(wrong),
        _ => unix::time(seconds).map(Some).ok_or(wrong),
    }
}

pub(super) fn federates_with(names: &[String]) -> Result<Vec<TrustDomain>, EntryError> {
    let mut trust_domains = Vec::with_capacity(names.len());
    for name in names {
        let trust_domain = id::parse_trust_domain(name).map_err(EntryError::FederatesWith)?;
        if !trust_domains.contains(&trust_domain) {
            trust_domains.push(trust_domain);
        }
    }
    Ok(trust_domains)
}

fn when<T: Default>(wanted: bool, value: impl FnOnce() -> T) -> T {
    if wanted { value() } else { T::default() }
}

fn set<T>(target: &mut T, change: Option<&types::Entry>, field: impl FnOnce(&types::Entry) -> T) {
    if let Some(change) = change {
        *target = field(change);
    }
}

const EVERYTHING: types::EntryMask = types::EntryMask {
    spiffe_id: true,
    parent_id: true,
    selectors: true,
    x509_svid_ttl: true,
    federates_with: true,
    admin: true,
    downstream: true,
    expires_at: true,
    dns_names: true,
    revision_number: true,
    store_svid: true,
    jwt_svid_ttl: true,
    hint: true,
    created_at: true,
    additional_attributes: true,
};
