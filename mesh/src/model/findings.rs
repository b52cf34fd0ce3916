//! What was found in documents, by what it is about.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::object::{Kind, ObjectName};

/// Warnings, or what else is found, by what they are about, so that they go when that changes.
#[derive(Debug)]
pub(super) struct Findings<T>(RedBlackTreeMapSync<About, Arc<[T]>>);

/// What something is found about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The documents of a source, each alone.
    Source(Arc<str>),
    /// All objects of a kind together.
    Kind(Kind),
    /// An object beside those of other kinds.
    Object(Kind, ObjectName),
    /// The `WorkloadEntry`s of a namespace.
    WorkloadsOf(Box<str>),
}

impl<T: Clone + Ord> Findings<T> {
    /// From now on these are all there are about it.
    pub(super) fn set(&mut self, about: About, found: Vec<T>) {
        if found.is_empty() {
            self.0.remove_mut(&about);
        } else {
            self.0.insert_mut(about, found.into());
        }
    }

    /// Adds to those about it.
    pub(super) fn add(&mut self, about: About, mut found: Vec<T>) {
        let known = self.0.get(&about).into_iter();
        found.extend(known.flat_map(|known| known.iter().cloned()));
        self.set(about, found);
    }

    /// All, in their order.
    pub(super) fn sorted(&self) -> Vec<T> {
        let all = self.0.values().flat_map(|found| found.iter().cloned());
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }
}

impl<T> Clone for Findings<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Findings<T> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}
