//! What is suspicious, by what it is about.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::{
    object::{Kind, ObjectName},
    problem::Warning,
};

/// Warnings by what they are about, so that they go when that changes.
#[derive(Debug, Clone)]
pub(super) struct Warned(RedBlackTreeMapSync<About, Arc<[Warning]>>);

/// What a warning is about.
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

impl Warned {
    /// From now on these are all there are about it.
    pub(super) fn set(&mut self, about: About, warnings: Vec<Warning>) {
        if warnings.is_empty() {
            self.0.remove_mut(&about);
        } else {
            self.0.insert_mut(about, warnings.into());
        }
    }

    /// Adds to those about it.
    pub(super) fn add(&mut self, about: About, mut warnings: Vec<Warning>) {
        let known = self.0.get(&about).into_iter();
        warnings.extend(known.flat_map(|known| known.iter().cloned()));
        self.set(about, warnings);
    }

    /// All, in the order of files and lines.
    pub(super) fn sorted(&self) -> Vec<Warning> {
        let mut all: Vec<_> = { self.0.values() }
            .flat_map(|warnings| warnings.iter().cloned())
            .collect();
        all.sort();
        all
    }
}

impl Default for Warned {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}
