//! The objects of one kind: each name once.

use std::{collections::BTreeMap, sync::Arc};

use super::ObjectName;
use crate::problem::Problems;

/// Objects of one kind by their names, with where each was written.
#[derive(Debug)]
pub(crate) struct Unique<T>(BTreeMap<ObjectName, Written<T>>);

/// An object that is to be added.
#[derive(Debug)]
pub(crate) struct Named<T> {
    pub(crate) name: ObjectName,
    pub(crate) line: u64,
    pub(crate) value: T,
}

#[derive(Debug)]
struct Written<T> {
    file: Arc<str>,
    line: u64,
    value: T,
}

impl<T> Unique<T> {
    /// Adds an object, called `noun` in messages. One whose name there is already is an error:
    /// which of the two is meant cannot be known.
    pub(crate) fn add(&mut self, noun: &str, object: Named<T>, problems: &mut Problems) {
        let Named { name, line, value } = object;
        if let Some(first) = self.0.get(&name) {
            let what = format!(
                "{noun} {name} is defined twice, first at {}:{}",
                first.file, first.line
            );
            problems.error(line, what, "rename or remove one of them");
            return;
        }
        let file = problems.file();
        self.0.insert(name, Written { file, line, value });
    }

    /// Sorted by their names.
    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_values().map(|written| written.value)
    }
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}
