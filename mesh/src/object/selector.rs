//! Which workloads an object is about: Istio's `selector.matchLabels`.

use std::collections::BTreeMap;

use crate::{
    problem::Problems,
    read::{
        labels,
        table::{Schema, Table},
        yaml::{Node, Value},
    },
};

/// The labels that a workload must have, all of them; with none it is every workload.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Selector(BTreeMap<String, String>);

impl Selector {
    /// Reads the `selector` of a `spec`.
    pub(crate) fn read(node: &Node, problems: &mut Problems) -> Self {
        let table = Table::open(node, "spec.selector", SELECTOR, problems);
        match table.get("matchLabels") {
            Some(node) => {
                let location = table.name("matchLabels");
                let labels = labels::read(node, &location, problems);
                if is_empty(node) {
                    warn_unselective(node.line, problems);
                }
                Self(labels)
            }
            None => {
                warn_unselective(node.line, problems);
                Self::default()
            }
        }
    }

    /// Reads a selector of another place, whose labels stand under the only key of `schema`. It has
    /// to name one: what is meant for a few would else be for all.
    pub(crate) fn some(
        node: &Node,
        location: &str,
        schema: Schema,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, schema, problems);
        let key = schema.read.first()?;
        let remedy = format!("write `{key}: {{ app: name }}`");
        let node = table.need(key, &remedy, problems)?;
        let labels = labels::read(node, &table.name(key), problems);
        if is_empty(node) {
            let what = format!("{} names no label", table.name(key));
            problems.error(node.line, what, remedy);
        }
        Some(Self(labels))
    }

    /// Whether a workload can be selected by both.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let same = |(key, value): (&String, &String)| other.0.get(key).is_none_or(|it| it == value);
        self.0.iter().all(same)
    }

    /// Whether a workload with these labels is selected.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Whether it selects every workload.
    pub(crate) fn is_for_all(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.is_empty())
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
