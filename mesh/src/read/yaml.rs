//! YAML as a tree in which every node knows its line.
//!
//! Values keep the type they were written in. Duplicate keys are kept too, so that the reader can
//! name both locations.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Error, Spanned};

use crate::problem::Problems;

/// One node of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) line: u64,
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Node {
    /// What the node is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The documents of a file. A file in which there is none is an error: it is more likely half
/// written than meant, and to load it as "no policy" would open everything.
pub(crate) fn documents(text: &str, problems: &mut Problems) -> Vec<Node> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_saphyr::from_multiple_with_options::<Node>(text, options) {
        Ok(documents) if documents.is_empty() => {
            problems.error(
                0,
                "the file holds no document",
                "write one, or delete the file if none is meant",
            );
            documents
        }
        Ok(documents) => documents,
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            let error = error.without_snippet();
            let (what, remedy) = if matches!(error, Error::Budget { .. }) {
                ("too much for one file", "spread it over several files")
            } else {
                ("not valid YAML", "correct the syntax there")
            };
            problems.error(line, format!("{what}: {error}"), remedy);
            Vec::new()
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            line: spanned.referenced.line(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let (line, key) = (key.referenced.line(), key.value);
            map.push(Entry {
                line,
                key,
                node: entries.next_value()?,
            });
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_its_line() {
        let mut problems = Problems::new();
        let text = "a: 1\nb:\n  - x\n  - {c: true}\n---\n# next\nd: ~\n---\n";
        let documents = documents(text, &mut problems);
        let lines: Vec<u64> = documents.iter().map(|document| document.line).collect();
        assert_eq!(lines, [1, 7]);
        let Some(Value::Map(map)) = documents.first().map(|document| &document.value) else {
            panic!("a mapping")
        };
        let Some(Value::List(list)) = map.get(1).map(|entry| &entry.node.value) else {
            panic!("a list")
        };
        assert_eq!(
            list.iter().map(|node| node.line).collect::<Vec<_>>(),
            [3, 4]
        );
        assert!(problems.finish().is_ok());
    }

    #[test]
    fn what_is_too_much_for_one_file_says_so() {
        let mut problems = Problems::new();
        let text = "a: 1\n---\n".repeat(1025);
        assert!(documents(&text, &mut problems).is_empty());
        let [problem] = &*problems.finish().expect_err("too much") else {
            panic!("one problem")
        };
        let what = &problem.what;
        assert!(what.starts_with("too much for one file"), "{what}");
        assert_eq!(problem.remedy, "spread it over several files");
    }

    #[test]
    fn duplicate_keys_and_types_survive() {
        let mut problems = Problems::new();
        let documents = documents("a: on\na: 8080\nc: \"1\"\nd: yes\n", &mut problems);
        let Some(Value::Map(map)) = documents.first().map(|document| &document.value) else {
            panic!("a mapping")
        };
        let values: Vec<_> = map.iter().map(|entry| entry.node.value.clone()).collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            values,
            [
                text("on"),
                Value::Number("8080".to_owned()),
                text("1"),
                text("yes")
            ]
        );
    }

    #[test]
    fn broken_yaml_is_reported_with_its_line() {
        for (text, line) in [
            ("a: 1\nb: [1,\n", 2),
            ("a: b\n c: d\n", 2),
            ("a: !evil x", 1),
            ("a: *no", 1),
        ] {
            let mut problems = Problems::new();
            documents(text, &mut problems);
            let errors = problems.finish().expect_err(text);
            assert_eq!(
                errors.iter().map(|error| error.line).collect::<Vec<_>>(),
                [line],
                "{errors:?}"
            );
        }
    }

    #[test]
    fn a_file_without_a_document_is_refused() {
        for text in ["", "\n\n", "# only words\n", "---\n---\n"] {
            let mut problems = Problems::new();
            documents(text, &mut problems);
            assert!(problems.finish().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_alias_bomb_ends_with_an_error() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            let aliases = vec![format!("*a{below}"); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let mut problems = Problems::new();
        documents(&text, &mut problems);
        assert!(problems.finish().is_err());
    }
}
