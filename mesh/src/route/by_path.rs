//! The matches that come into question for a path, without a look at all the others.

use std::{cmp::Reverse, collections::HashMap};

use super::http_match::{HttpMatch, PathCondition};

/// Places in a list of matches, by what these ask of a path.
#[derive(Debug, Default)]
pub(super) struct ByPath {
    exact: HashMap<Box<str>, Vec<usize>>,
    prefixes: HashMap<Box<str>, Vec<usize>>,
    /// In bytes, of all prefixes.
    lengths: Vec<usize>,
    /// Those that only trying tells.
    others: Vec<usize>,
}

impl ByPath {
    /// By the matches in their order.
    pub(super) fn new<'m>(matches: impl Iterator<Item = &'m HttpMatch>) -> Self {
        let mut all = Self::default();
        for (place, matched) in matches.enumerate() {
            let places = match matched.path() {
                PathCondition::Exact(path) => all.exact.entry(path.into()).or_default(),
                PathCondition::Prefix(prefix) => {
                    if !all.lengths.contains(&prefix.len()) {
                        all.lengths.push(prefix.len());
                    }
                    all.prefixes.entry(prefix.into()).or_default()
                }
                PathCondition::Other => &mut all.others,
            };
            places.push(place);
        }
        all
    }

    /// The places of all that may hold for a path, in their order.
    pub(super) fn of(&self, path: &str) -> impl Iterator<Item = usize> {
        let prefixes = self.lengths.iter();
        let prefixes = prefixes.filter_map(|length| self.prefixes.get(path.get(..*length)?));
        let mut lists: Vec<&[usize]> = self
            .exact
            .get(path)
            .into_iter()
            .map(Vec::as_slice)
            .collect();
        lists.extend(prefixes.map(Vec::as_slice));
        lists.push(&self.others);
        std::iter::from_fn(move || {
            let next = lists
                .iter_mut()
                .max_by_key(|list| Reverse(list.first().copied().unwrap_or(usize::MAX)))?;
            let (place, rest) = next.split_first()?;
            *next = rest;
            Some(*place)
        })
    }
}
