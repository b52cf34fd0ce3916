//! Which workloads an object is about: Istio's `selector.matchLabels`.

use std::collections::BTreeMap;

use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// The labels that a workload must have, all of them; with none it is every workload.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Selector(BTreeMap<String, String>);

impl Selector {
    /// Reads the `selector` of a `spec`.
    pub(crate) fn read(node: &Node, problems: &mut Problems) -> Self {
        let table = Table::open(node, "spec.selector", SELECTOR, problems);
        match table.get("matchLabels") {
            Some(node) => Self(match_labels(node, problems)),
            None => {
                warn_unselective(node.line, problems);
                Self::default()
            }
        }
    }

    /// Whether a workload with these labels is selected.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }
}

fn match_labels(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        let remedy = "write `matchLabels: { app: name }`";
        problems.error(
            node.line,
            "spec.selector.matchLabels must be a mapping",
            remedy,
        );
        return labels;
    };
    if entries.is_empty() {
        warn_unselective(node.line, problems);
    }
    for entry in entries {
        let location = format!("spec.selector.matchLabels.{}", entry.key);
        let Some(value) = label_value(&entry.node, &location, problems) else {
            continue;
        };
        if entry.key.is_empty() || entry.key.contains('*') || value.contains('*') {
            problems.error(
                entry.line,
                format!("{location} holds a wildcard or no name"),
                "write the whole label",
            );
        }
        if labels.insert(entry.key.clone(), value.to_owned()).is_some() {
            problems.error(
                entry.line,
                format!("{location} is given twice"),
                "keep one of them",
            );
        }
    }
    labels
}

/// Unlike other strings, the value of a label may be empty.
fn label_value<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Some(text),
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_) => table::text(node, location, problems),
    }
}

fn warn_unselective(line: u64, problems: &mut Problems) {
    let what =
        "spec.selector names no label, so the policy concerns every workload of its namespace";
    problems.warn(
        line,
        what,
        "name labels, or remove the selector if that is meant",
    );
}

const SELECTOR: Schema = Schema {
    read: &["matchLabels"],
    bookkeeping: &[],
    not_yet: &[],
};
