//! What to look for among the entries.

use std::collections::BTreeSet;

use signet_identity::{SpiffeId, TrustDomain, entry::Entry, selector::Selectors};

use crate::directory::Among;

/// Conditions, all of which an entry has to meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// With this SPIFFE ID.
    pub(crate) spiffe_id: Option<SpiffeId>,
    /// Below this parent.
    pub(crate) parent_id: Option<SpiffeId>,
    /// With such selectors.
    pub(crate) selectors: Option<Match<Selectors>>,
    /// Federating so.
    pub(crate) federates_with: Option<Match<BTreeSet<TrustDomain>>>,
    /// With exactly this hint.
    pub(crate) hint: Option<String>,
    /// Downstream, or not.
    pub(crate) downstream: Option<bool>,
}

/// A set to compare an entry's set with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match<S> {
    /// The given set.
    pub(crate) set: S,
    /// How the entry's set has to relate to it.
    pub(crate) how: How,
}

/// How the entry's set relates to the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// They are equal.
    Exact,
    /// The entry's lies within the given.
    Subset,
    /// The entry's has all of the given.
    Superset,
    /// They have something in common.
    Any,
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The smallest index that has all candidates.
    pub(super) fn among(&self) -> Among {
        match (&self.spiffe_id, &self.parent_id) {
            (Some(id), _) => Among::SpiffeId(id.clone()),
            (None, Some(parent)) => Among::Parent(parent.clone()),
            (None, None) => Among::All,
        }
    }

    pub(super) fn accepts(&self, entry: &Entry) -> bool {
        self.spiffe_id
            .as_ref()
            .is_none_or(|id| entry.spiffe_id == *id)
            && self
                .parent_id
                .as_ref()
                .is_none_or(|id| entry.parent_id == *id)
            && self.hint.as_ref().is_none_or(|hint| entry.hint == *hint)
            && self
                .downstream
                .is_none_or(|downstream| entry.rights.downstream == downstream)
            && self
                .selectors
                .as_ref()
                .is_none_or(|wanted| wanted.selectors(&entry.selectors))
            && self
                .federates_with
                .as_ref()
                .is_none_or(|wanted| wanted.names(&entry.federates_with))
    }
}

impl Match<Selectors> {
    /// Whether such selectors match; entries and agents are filtered by this.
    pub(crate) fn selectors(&self, of_entry: &Selectors) -> bool {
        match self.how {
            How::Exact => *of_entry == self.set,
            How::Subset => of_entry.is_subset_of(&self.set),
            How::Superset => self.set.is_subset_of(of_entry),
            How::Any => self.set.intersects(of_entry),
        }
    }
}

impl Match<BTreeSet<TrustDomain>> {
    fn names(&self, of_entry: &[TrustDomain]) -> bool {
        let of_entry: BTreeSet<&TrustDomain> = of_entry.iter().collect();
        let given: BTreeSet<&TrustDomain> = self.set.iter().collect();
        match self.how {
            How::Exact => of_entry == given,
            // An entry that federates with nobody is not one that federates within the set.
            How::Subset => !of_entry.is_empty() && of_entry.is_subset(&given),
            How::Superset => of_entry.is_superset(&given),
            How::Any => !of_entry.is_disjoint(&given),
        }
    }
}
