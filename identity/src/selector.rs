//! Selectors: attested facts about a node or a process, and the sets in which entries ask for them.

use std::{fmt, str::FromStr};

use signet_proto::spire::api::types;

/// One attested fact, `type:value`.
// One allocation; the type holds no colon, so the first one is the border.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Box<str>);

/// A set of selectors, kept sorted and without duplicates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selectors(Vec<Selector>);

/// Why a text or message is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Nothing before the colon.
    #[error("missing selector type")]
    NoType,
    /// A colon inside the type.
    #[error("selector type {0:?} contains ':'")]
    ColonInType(String),
    /// Nothing after the colon.
    #[error("missing selector value")]
    NoValue,
    /// No colon at all.
    #[error("selector {0:?} must be formatted as type:value")]
    NoColon(String),
}

impl Selector {
    /// Joins a type and a value.
    ///
    /// # Errors
    /// One of the two is empty, or the type has a colon.
    pub fn new(kind: &str, value: &str) -> Result<Self, SelectorError> {
        if kind.is_empty() {
            return Err(SelectorError::NoType);
        }
        if kind.contains(':') {
            return Err(SelectorError::ColonInType(kind.to_owned()));
        }
        if value.is_empty() {
            return Err(SelectorError::NoValue);
        }
        Ok(Self([kind, ":", value].concat().into_boxed_str()))
    }

    /// What comes before the colon.
    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// What comes after the colon.
    pub fn value(&self) -> &str {
        self.parts().1
    }

    /// `type:value`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

impl Selectors {
    /// The selectors in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Selector> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `selector` is among them.
    pub fn contains(&self, selector: &Selector) -> bool {
        self.0.binary_search(selector).is_ok()
    }

    /// Whether `other` has every one of them. The empty set is a subset of all.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        // Both are sorted, so one walk is enough.
        let mut theirs = other.0.iter();
        self.0
            .iter()
            .all(|mine| theirs.find(|their| *their >= mine) == Some(mine))
    }

    /// Whether the two have any in common.
    pub fn intersects(&self, other: &Self) -> bool {
        self.0.iter().any(|selector| other.contains(selector))
    }

    /// Reads a repeated field of a message.
    ///
    /// # Errors
    /// A selector without type or value, or with a colon in its type.
    pub fn from_proto(selectors: &[types::Selector]) -> Result<Self, SelectorError> {
        selectors.iter().map(Selector::try_from).collect()
    }

    /// The selectors as a repeated field of a message.
    pub fn to_proto(&self) -> Vec<types::Selector> {
        self.0.iter().map(types::Selector::from).collect()
    }
}

impl FromIterator<Selector> for Selectors {
    fn from_iter<I: IntoIterator<Item = Selector>>(iter: I) -> Self {
        let mut selectors: Vec<Selector> = iter.into_iter().collect();
        selectors.sort_unstable();
        selectors.dedup();
        Self(selectors)
    }
}

impl<'a> IntoIterator for &'a Selectors {
    type Item = &'a Selector;
    type IntoIter = std::slice::Iter<'a, Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Selectors {
    type Item = Selector;
    type IntoIter = std::vec::IntoIter<Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (kind, value) = text
            .split_once(':')
            .ok_or_else(|| SelectorError::NoColon(text.to_owned()))?;
        Self::new(kind, value)
    }
}

impl TryFrom<&types::Selector> for Selector {
    type Error = SelectorError;

    fn try_from(selector: &types::Selector) -> Result<Self, SelectorError> {
        Self::new(&selector.r#type, &selector.value)
    }
}

impl From<&Selector> for types::Selector {
    fn from(selector: &Selector) -> Self {
        Self {
            r#type: selector.kind().to_owned(),
            value: selector.value().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_colon_is_the_border() {
        let selector: Selector = "k8s:label:a:b".parse().expect("selector");
        assert_eq!((selector.kind(), selector.value()), ("k8s", "label:a:b"));
        assert_eq!(selector.to_string(), "k8s:label:a:b");
    }

    #[test]
    fn malformed_selectors_are_refused() {
        assert_eq!(
            "unix".parse::<Selector>(),
            Err(SelectorError::NoColon("unix".to_owned()))
        );
        assert_eq!(":x".parse::<Selector>(), Err(SelectorError::NoType));
        assert_eq!("unix:".parse::<Selector>(), Err(SelectorError::NoValue));
        let colon = Selector::new("a:b", "c");
        assert_eq!(colon, Err(SelectorError::ColonInType("a:b".to_owned())));
    }

    #[test]
    fn a_selector_survives_the_message() {
        let selector = Selector::new("unix", "uid:1000").expect("selector");
        assert_eq!(
            Selector::try_from(&types::Selector::from(&selector)),
            Ok(selector)
        );
    }

    fn sets() -> impl Strategy<Value = BTreeSet<u8>> {
        proptest::collection::btree_set(0_u8..12, 0..8)
    }

    fn selectors(set: &BTreeSet<u8>) -> Selectors {
        // Backwards and twice, so that order and duplicates are put to the test.
        let twice = set.iter().rev().chain(set.iter());
        twice
            .map(|n| Selector::new("t", &n.to_string()).expect("selector"))
            .collect()
    }

    proptest! {
        #[test]
        fn selectors_behave_as_sets(left in sets(), right in sets()) {
            let (a, b) = (selectors(&left), selectors(&right));
            prop_assert_eq!(a.len(), left.len());
            prop_assert_eq!(a.is_subset_of(&b), left.is_subset(&right));
            prop_assert_eq!(a.intersects(&b), !left.is_disjoint(&right));
            prop_assert_eq!(a == b, left == right);
            prop_assert!(a.iter().all(|selector| a.contains(selector)));
        }
    }
}
