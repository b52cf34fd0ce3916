//! Labels: names with values, all of which something must have.

use std::collections::BTreeMap;

use super::{
    table,
    yaml::{Node, Value},
};
use crate::problem::Problems;

/// The labels of a mapping. There may be none.
pub(crate) fn read(
    node: &Node,
    location: &str,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        let key = location.rsplit('.').next().unwrap_or_default();
        let remedy = format!("write `{key}: {{ app: name }}`");
        problems.error(node.line, format!("{location} must be a mapping"), remedy);
        return labels;
    };
    for entry in entries {
        let location = format!("{location}.{}", entry.key);
        let Some(value) = value(&entry.node, &location, problems) else {
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

/// Whether something with the labels `held` has all of `wanted`.
pub(crate) fn include(held: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| held.get(key) == Some(value))
}

/// Unlike other strings, the value of a label may be empty.
fn value<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
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
