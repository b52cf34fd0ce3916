//! Finds, among many texts, those that a value equals and those that it begins with.
//!
//! Both lists are sorted, so that a value costs two binary searches however many texts there are.
//! All texts that a value begins with follow from the last one that is not greater: what stands
//! between a beginning of the value and the value begins in the same way, so that the others are
//! found by going up from each text to the longest one that it begins with.

use std::{cmp::Ordering, collections::BTreeMap};

/// A value in two parts, compared as if it were one: a SPIFFE ID need not be put together first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined<'v> {
    pub(super) head: &'v [u8],
    pub(super) tail: &'v [u8],
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Text {
    /// The whole value.
    Exact(Box<[u8]>),
    /// What the value begins with.
    Prefix(Box<[u8]>),
}

/// Texts, and what stands under each.
#[derive(Debug)]
pub(super) struct Texts<T> {
    exact: Vec<Exact<T>>,
    prefixes: Vec<Prefix<T>>,
}

#[derive(Debug)]
struct Exact<T> {
    text: Box<[u8]>,
    under: T,
}

#[derive(Debug)]
struct Prefix<T> {
    text: Box<[u8]>,
    /// The position of the longest other one that it begins with.
    within: Option<usize>,
    under: T,
}

impl<T> Texts<T> {
    pub(super) fn new(texts: BTreeMap<Text, T>) -> Self {
        let mut all = Self {
            exact: Vec::new(),
            prefixes: Vec::new(),
        };
        for (text, under) in texts {
            match text {
                Text::Exact(text) => all.exact.push(Exact { text, under }),
                Text::Prefix(text) => {
                    let within = all.last_beginning(&text);
                    all.prefixes.push(Prefix {
                        text,
                        within,
                        under,
                    });
                }
            }
        }
        all
    }

    /// Hands over what stands under each text that matches.
    pub(super) fn find<'t>(&'t self, value: Joined<'_>, mut take: impl FnMut(&'t T)) {
        let exact = self.exact.binary_search_by(|it| value.compare(&it.text));
        if let Some(found) = exact.ok().and_then(|position| self.exact.get(position)) {
            take(&found.under);
        }
        let after = self
            .prefixes
            .partition_point(|it| value.compare(&it.text) != Ordering::Greater);
        let mut at = after.checked_sub(1);
        while let Some(prefix) = at.and_then(|position| self.prefixes.get(position)) {
            if value.begins_with(&prefix.text) {
                take(&prefix.under);
            }
            at = prefix.within;
        }
    }

    /// The last of the prefixes that `text` begins with, if all that there are so far sort before
    /// it.
    fn last_beginning(&self, text: &[u8]) -> Option<usize> {
        let mut at = self.prefixes.len().checked_sub(1);
        while let Some(position) = at {
            let prefix = self.prefixes.get(position)?;
            if text.starts_with(&prefix.text) {
                return Some(position);
            }
            at = prefix.within;
        }
        None
    }
}

impl<'v> Joined<'v> {
    pub(super) fn whole(value: &'v [u8]) -> Self {
        Self {
            head: value,
            tail: b"",
        }
    }

    /// How `text` sorts against the value.
    fn compare(self, text: &[u8]) -> Ordering {
        let Some((start, rest)) = text.split_at_checked(self.head.len()) else {
            // Of what is equal so far the shorter one sorts first.
            let ours = self.head.get(..text.len()).unwrap_or_default();
            return text.cmp(ours).then(Ordering::Less);
        };
        start.cmp(self.head).then_with(|| rest.cmp(self.tail))
    }

    fn begins_with(self, text: &[u8]) -> bool {
        self.head.starts_with(text)
            || text
                .strip_prefix(self.head)
                .is_some_and(|rest| self.tail.starts_with(rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_is_found_is_what_a_walk_over_all_finds(
            exact in btree_set("[ab]{0,4}", 0..12),
            prefixes in btree_set("[ab]{0,4}", 0..12),
            value in "[ab]{0,5}",
            cut in 0usize..6,
        ) {
            let exact = exact.into_iter().map(|text| Text::Exact(text.into_bytes().into()));
            let prefixes = prefixes.into_iter().map(|text| Text::Prefix(text.into_bytes().into()));
            let all: Vec<Text> = exact.chain(prefixes).collect();
            let matches = |text: &&Text| match text {
                Text::Exact(text) => **text == *value.as_bytes(),
                Text::Prefix(text) => value.as_bytes().starts_with(text),
            };
            let mut expected: Vec<&Text> = all.iter().filter(matches).collect();
            let texts = Texts::new(all.iter().cloned().map(|text| (text.clone(), text)).collect());
            let (head, tail) = value.as_bytes().split_at(cut.min(value.len()));
            let mut found = Vec::new();
            texts.find(Joined { head, tail }, |text| found.push(text));
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
