//! Istio's `TagOverride`: what becomes of the tag of a metric.
//!
//! Istio takes an expression in CEL for the value; here it has to be a constant, which is a string
//! with CEL's own quotes around it.

use std::collections::BTreeMap;

use crate::{
    problem::Problems,
    read::{
        scalar::{self, Word},
        table::{self, Schema, Table},
        yaml::{Entry, Node, Value},
    },
};

/// What becomes of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagOverride {
    /// It is there, with this value.
    Set(Box<str>),
    /// It is not there.
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Upsert,
    Remove,
}

/// The tags in a `tagOverrides`.
pub(super) fn read(
    node: &Node,
    location: &str,
    problems: &mut Problems,
) -> Option<BTreeMap<Box<str>, TagOverride>> {
    let Value::Map(entries) = &node.value else {
        table::wrong_kind(node, location, "a mapping", problems);
        return None;
    };
    if entries.is_empty() {
        let what = format!("{location} names no tag");
        problems.error(node.line, what, "name one, or remove it");
    }
    let mut tags = BTreeMap::new();
    for entry in entries {
        let location = format!("{location}.{}", entry.key);
        check_name(entry, &location, problems);
        let Some(tag) = tag(entry, &location, problems) else {
            continue;
        };
        if tags.insert(entry.key.as_str().into(), tag).is_some() {
            let what = format!("{location} is given twice");
            problems.error(entry.line, what, "keep one of them");
        }
    }
    Some(tags)
}

fn tag(entry: &Entry, location: &str, problems: &mut Problems) -> Option<TagOverride> {
    let table = Table::open(&entry.node, location, TAG, problems);
    let operation = table.take("operation", problems, |node, location, problems| {
        scalar::word(node, location, &OPERATIONS, problems)
    });
    match operation {
        Some(Operation::Remove) => {
            if let Some(node) = table.get("value") {
                let what = format!("{location}.value has no effect on a tag that is removed");
                problems.error(node.line, what, "remove it");
            }
            warn_of_unknown(entry, location, problems);
            Some(TagOverride::Remove)
        }
        Some(Operation::Upsert) | None => {
            table.need("value", CONSTANT, problems);
            table
                .take("value", problems, constant)
                .map(TagOverride::Set)
        }
    }
}

/// As Prometheus has it; what begins with two `_` is its own, and so is the bound of a bucket.
fn check_name(entry: &Entry, location: &str, problems: &mut Problems) {
    let name = &entry.key;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(legal) || name.starts_with("__") || name == "le" {
        let what = format!("{location} is not a name that a tag can have");
        let remedy = "use letters, digits and '_', no digit first, not `__` first, and not `le`";
        problems.error(entry.line, what, remedy);
    }
}

fn constant(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let text = table::text(node, location, problems)?;
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let inside = ['\'', '"'].into_iter().find_map(quoted);
    let inside = inside.filter(|inside| !inside.contains(['\'', '"', '\\']));
    if inside.is_none() {
        let what =
            format!("{location} {text:?} is not a constant; other values are not supported yet");
        problems.error(node.line, what, CONSTANT);
    }
    inside.map(Into::into)
}

fn warn_of_unknown(entry: &Entry, location: &str, problems: &mut Problems) {
    if !STANDARD.contains(&entry.key.as_str()) {
        let what = format!("{location} is not a tag of the standard metrics");
        problems.warn(entry.line, what, table::nearest(&entry.key, &STANDARD));
    }
}

const CONSTANT: &str = "write a constant with its own quotes, as in `value: \"'name'\"`";

const OPERATIONS: [Word<Operation>; 2] = [
    Word {
        text: "UPSERT",
        value: Operation::Upsert,
    },
    Word {
        text: "REMOVE",
        value: Operation::Remove,
    },
];

/// The tags that the standard metrics have.
const STANDARD: [&str; 25] = [
    "reporter",
    "source_workload",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "request_protocol",
    "response_code",
    "grpc_response_status",
    "response_flags",
    "connection_security_policy",
];

const TAG: Schema = Schema {
    read: &["operation", "value"],
    bookkeeping: &[],
    not_yet: &[],
};
