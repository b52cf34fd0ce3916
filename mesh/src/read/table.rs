//! A mapping whose keys are all known: what is read, what is bookkeeping, what is not supported
//! yet. Any other key is an error with the nearest match.

use super::yaml::{Entry, Node, Value};
use crate::problem::Problems;

/// The keys that a mapping may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    /// Keys that mean something here.
    pub(crate) read: &'static [&'static str],
    /// Keys that a cluster writes into an object and that have no meaning for a decision.
    pub(crate) bookkeeping: &'static [&'static str],
    /// Keys of Istio's that are not supported yet, each with what to do instead.
    pub(crate) not_yet: &'static [(&'static str, &'static str)],
}

/// A mapping that was checked against its schema.
#[derive(Debug)]
pub(crate) struct Table<'n> {
    /// Where the mapping is, as in `spec.rules[0]`; empty at the top.
    pub(crate) location: String,
    pub(crate) line: u64,
    /// Everything in it; `None` if it is no mapping.
    written: Option<&'n [Entry]>,
    entries: Vec<&'n Entry>,
}

impl<'n> Table<'n> {
    /// Checks every key; keeps those that the schema reads and that have a value.
    pub(crate) fn open(
        node: &'n Node,
        location: &str,
        schema: Schema,
        problems: &mut Problems,
    ) -> Self {
        let mut table = Self {
            location: location.to_owned(),
            line: node.line,
            written: None,
            entries: Vec::new(),
        };
        let Value::Map(entries) = &node.value else {
            wrong_kind(node, location, "a mapping", problems);
            return table;
        };
        table.written = Some(entries);
        for entry in entries {
            if table.admits(entry, schema, problems) {
                table.entries.push(entry);
            }
        }
        table
    }

    /// The value under `key`, if it was written.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// As [`Table::get`]; absence is an error. (A key that was refused already has one.)
    pub(crate) fn need(
        &self,
        key: &str,
        remedy: &str,
        problems: &mut Problems,
    ) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() && !self.has(key) {
            problems.error(self.line, format!("{} is missing", self.name(key)), remedy);
        }
        node
    }

    /// What `read` makes of the value under `key`, if it was written.
    pub(crate) fn take<T>(
        &self,
        key: &str,
        problems: &mut Problems,
        read: impl FnOnce(&'n Node, &str, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        read(self.get(key)?, &self.name(key), problems)
    }

    /// Every entry that has meaning, in the order it was written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().copied()
    }

    /// Whether there was nothing in it at all, not even something that was refused.
    pub(crate) fn was_empty(&self) -> bool {
        self.has_only(&[])
    }

    /// Whether it is a mapping in which nothing but these keys stands.
    pub(crate) fn has_only(&self, keys: &[&str]) -> bool {
        let one_of = |entry: &Entry| keys.contains(&entry.key.as_str());
        self.written
            .is_some_and(|written| written.iter().all(one_of))
    }

    /// `spec.rules` for the key `rules` of `spec`.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.location.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.location)
        }
    }

    /// Whether the key stands there, even if it was refused.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.written
            .is_some_and(|written| written.iter().any(|entry| entry.key == key))
    }

    fn admits(&self, entry: &Entry, schema: Schema, problems: &mut Problems) -> bool {
        if schema.bookkeeping.contains(&entry.key.as_str()) {
            return false;
        }
        let refusal = self.refusal(entry, schema);
        let is_admitted = refusal.is_none();
        if let Some((what, remedy)) = refusal {
            let name = self.name(&entry.key);
            problems.error(entry.line, format!("{name} {what}"), remedy);
        }
        is_admitted
    }

    /// What is wrong with an entry, and what to do about it.
    fn refusal(&self, entry: &Entry, schema: Schema) -> Option<(String, String)> {
        let refused = |what: &str, remedy: String| Some((what.to_owned(), remedy));
        if let Some((_, remedy)) = schema.not_yet.iter().find(|(key, _)| *key == entry.key) {
            return refused("is not supported yet", (*remedy).to_owned());
        }
        if !schema.read.contains(&entry.key.as_str()) {
            return refused("is not a known field", nearest(&entry.key, schema.read));
        }
        if let Some(first) = self.entries.iter().find(|other| other.key == entry.key) {
            let what = format!("is given twice, first on line {}", first.line);
            return refused(&what, "keep one of them".to_owned());
        }
        if entry.node.value == Value::Null {
            return refused("has no value", "give it one, or remove the key".to_owned());
        }
        None
    }
}

/// The text of a scalar that must be a string.
pub(crate) fn text<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if text.is_empty() => {
            problems.error(
                node.line,
                format!("{location} is an empty string"),
                "write a value, or remove it",
            );
            None
        }
        Value::Text(text) if text.trim() != text || text.contains(char::is_control) => {
            let what = format!(
                "{location} {text:?} has white space around it or control characters in it"
            );
            problems.error(node.line, what, "remove them");
            None
        }
        Value::Text(text) => Some(text),
        Value::Number(number) => {
            let remedy = format!("write it in quotes: \"{number}\"");
            problems.error(
                node.line,
                format!("{location} must be a string, but is a number"),
                remedy,
            );
            None
        }
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            wrong_kind(node, location, "a string", problems);
            None
        }
    }
}

/// The items of a list that must have some: for Istio an empty list means the same as none at all,
/// which in a source is "everyone"; so whoever means that has to leave the key out.
pub(crate) fn list<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> &'n [Node] {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            let what = format!("{location} is an empty list");
            problems.error(
                node.line,
                what,
                "list something, or remove the key if it shall not restrict anything",
            );
            &[]
        }
        Value::List(items) => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            wrong_kind(node, location, "a list", problems);
            &[]
        }
    }
}

pub(crate) fn wrong_kind(node: &Node, location: &str, wanted: &str, problems: &mut Problems) {
    let location = if location.is_empty() {
        "the document"
    } else {
        location
    };
    let what = format!("{location} must be {wanted}, but is {}", node.kind());
    problems.error(node.line, what, format!("write {wanted}"));
}

/// What may have been meant by a word that is none of those that are known here.
pub(crate) fn nearest(word: &str, known: &[&str]) -> String {
    let distance =
        |other: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &other.to_lowercase());
    let nearest = known
        .iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, known)| *distance * 3 <= known.len().max(3))
        .min();
    match nearest {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}
