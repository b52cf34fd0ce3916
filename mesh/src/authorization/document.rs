//! Reads one document: the envelope that all of Istio's kinds share, and the `spec` of an `AuthorizationPolicy`.

use std::collections::BTreeMap;

use super::{
    action::Action,
    policy::{Policy, PolicyName},
    rules,
};
use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// The policy of a document, or `None` after an error that leaves nothing to go on with.
pub(crate) fn read(node: &Node, problems: &mut Problems) -> Option<Policy> {
    let kind = kind(node, problems)?;
    if kind != "AuthorizationPolicy" {
        let what = format!("kind {kind:?} is not supported");
        problems.error(
            node.line,
            what,
            "only AuthorizationPolicy is read here; move it to another place",
        );
        return None;
    }
    let document = Table::open(node, "", DOCUMENT, problems);
    version(&document, problems);
    let metadata = document.need(
        "metadata",
        "write `metadata: { name: …, namespace: … }`",
        problems,
    )?;
    let name = name(metadata, problems)?;
    let spec = document.need(
        "spec",
        "write `spec: {}` for a policy that allows nothing",
        problems,
    )?;
    Some(policy(name, node.line, spec, problems))
}

/// Read before anything else: keys of another kind's document are not worth reporting.
fn kind<'n>(node: &'n Node, problems: &mut Problems) -> Option<&'n str> {
    let Value::Map(entries) = &node.value else {
        let what = format!("the document is {}, not an object", node.kind());
        problems.error(
            node.line,
            what,
            "write a document with apiVersion, kind, metadata and spec",
        );
        return None;
    };
    match entries.iter().find(|entry| entry.key == "kind") {
        Some(entry) => table::text(&entry.node, "kind", problems),
        None => {
            problems.error(
                node.line,
                "kind is missing",
                "write `kind: AuthorizationPolicy`",
            );
            None
        }
    }
}

fn version(document: &Table<'_>, problems: &mut Problems) {
    let remedy = "write `apiVersion: security.istio.io/v1`";
    let Some(node) = document.need("apiVersion", remedy, problems) else {
        return;
    };
    let Some(version) = table::text(node, "apiVersion", problems) else {
        return;
    };
    if !matches!(
        version,
        "security.istio.io/v1" | "security.istio.io/v1beta1"
    ) {
        problems.error(
            node.line,
            format!("apiVersion {version:?} is not supported"),
            remedy,
        );
    }
}

fn name(node: &Node, problems: &mut Problems) -> Option<PolicyName> {
    let metadata = Table::open(node, "metadata", METADATA, problems);
    if let Some(annotations) = metadata.get("annotations") {
        refuse_dry_run(annotations, problems);
    }
    let namespace = match metadata.get("namespace") {
        Some(node) => kubernetes_name(node, "metadata.namespace", problems)?,
        None => "default",
    };
    let name = metadata.need("name", "give the policy a name", problems)?;
    let name = kubernetes_name(name, "metadata.name", problems)?;
    Some(PolicyName::new(namespace, name))
}

/// To ignore it would enforce what was meant as a trial.
fn refuse_dry_run(annotations: &Node, problems: &mut Problems) {
    let Value::Map(entries) = &annotations.value else {
        problems.error(
            annotations.line,
            "metadata.annotations must be a mapping",
            "write `key: \"value\"` pairs",
        );
        return;
    };
    for entry in entries
        .iter()
        .filter(|entry| entry.key == "istio.io/dry-run")
    {
        let off = matches!(&entry.node.value, Value::Text(text) if text == "false");
        if !off {
            let remedy = "remove the annotation, or the policy until it is meant";
            problems.error(entry.line, "dry-run is not supported yet", remedy);
        }
    }
}

fn kubernetes_name<'n>(node: &'n Node, place: &str, problems: &mut Problems) -> Option<&'n str> {
    let name = table::text(node, place, problems)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = name
        .bytes()
        .all(|byte| plain(byte) || matches!(byte, b'-' | b'.'));
    let ends = [name.bytes().next(), name.bytes().last()]
        .into_iter()
        .flatten()
        .all(plain);
    if inside && ends && name.len() <= LONGEST_NAME {
        return Some(name);
    }
    let remedy = "use lower-case letters, digits, '-' and '.', at most 253 of them, a letter or digit at both ends";
    problems.error(
        node.line,
        format!("{place} {name:?} is not a valid name"),
        remedy,
    );
    None
}

fn policy(name: PolicyName, line: u64, spec: &Node, problems: &mut Problems) -> Policy {
    let table = Table::open(spec, "spec", SPEC, problems);
    let action = table
        .get("action")
        .map_or(Action::Allow, |node| action(node, problems));
    let selector = table
        .get("selector")
        .map_or_else(BTreeMap::new, |node| selector(node, problems));
    let rules = match table.get("rules") {
        Some(node) => rules::read(node, name.namespace(), problems),
        None => Vec::new(),
    };
    if action == Action::Deny && rules.is_empty() {
        let remedy = "add rules; `rules: [{}]` denies everything";
        problems.error(
            line,
            format!("DENY policy {name} has no rules, so it would deny nothing"),
            remedy,
        );
    }
    Policy {
        name,
        file: problems.file(),
        line,
        action,
        selector,
        rules,
    }
}

/// After an error any action will do: the error keeps the policy from being used.
fn action(node: &Node, problems: &mut Problems) -> Action {
    match table::text(node, "spec.action", problems) {
        Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some(other @ ("AUDIT" | "CUSTOM")) => {
            problems.error(
                node.line,
                format!("action {other} is not supported yet"),
                "use ALLOW or DENY",
            );
            Action::Allow
        }
        Some(other) => {
            problems.error(
                node.line,
                format!("action {other:?} is not known"),
                "write ALLOW or DENY",
            );
            Action::Allow
        }
        None => Action::Allow,
    }
}

fn selector(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let table = Table::open(node, "spec.selector", SELECTOR, problems);
    let Some(node) = table.get("matchLabels") else {
        warn_unselective(node.line, problems);
        return labels;
    };
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
        let place = format!("spec.selector.matchLabels.{}", entry.key);
        let Some(value) = label_value(&entry.node, &place, problems) else {
            continue;
        };
        if entry.key.is_empty() || entry.key.contains('*') || value.contains('*') {
            problems.error(
                entry.line,
                format!("{place} holds a wildcard or no name"),
                "write the whole label",
            );
        }
        if labels.insert(entry.key.clone(), value.to_owned()).is_some() {
            problems.error(
                entry.line,
                format!("{place} is given twice"),
                "keep one of them",
            );
        }
    }
    labels
}

/// Unlike other strings, the value of a label may be empty.
fn label_value<'n>(node: &'n Node, place: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Some(text),
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::List(_)
        | Value::Map(_) => table::text(node, place, problems),
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

const DOCUMENT: Schema = Schema {
    read: &["apiVersion", "kind", "metadata", "spec"],
    bookkeeping: &["status"],
    not_yet: &[],
};

const METADATA: Schema = Schema {
    read: &["name", "namespace", "annotations"],
    bookkeeping: &[
        "labels",
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
        "ownerReferences",
        "finalizers",
    ],
    not_yet: &[("generateName", "give the policy a name")],
};

const SPEC: Schema = Schema {
    read: &["selector", "action", "rules"],
    bookkeeping: &[],
    not_yet: &[
        ("targetRef", "select workloads with `selector.matchLabels`"),
        ("targetRefs", "select workloads with `selector.matchLabels`"),
        (
            "provider",
            "CUSTOM policies are not supported; use ALLOW or DENY",
        ),
    ],
};

const SELECTOR: Schema = Schema {
    read: &["matchLabels"],
    bookkeeping: &[],
    not_yet: &[],
};

const LONGEST_NAME: usize = 253;
