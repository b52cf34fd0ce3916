//! The envelope that every document has, whatever its kind: apiVersion, kind, metadata, and a
//! `spec` that its kind reads.

mod name;
mod selector;

pub use name::ObjectName;
pub(crate) use selector::Selector;

use name::kubernetes_name;

use crate::{
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// A document whose envelope is valid.
#[derive(Debug)]
pub(crate) struct Object<'n> {
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    /// Where the document begins.
    pub(crate) line: u64,
    /// What its kind reads.
    pub(crate) spec: &'n Node,
}

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    AuthorizationPolicy,
}

impl<'n> Object<'n> {
    /// The object of a document, or `None` after an error that leaves nothing to go on with.
    pub(crate) fn open(node: &'n Node, problems: &mut Problems) -> Option<Self> {
        let kind = Kind::of(node, problems)?;
        let document = Table::open(node, "", DOCUMENT, problems);
        version(&document, problems);
        let metadata = document.need(
            "metadata",
            "write `metadata: { name: …, namespace: … }`",
            problems,
        )?;
        let name = name(metadata, problems)?;
        let remedy = match kind {
            Kind::AuthorizationPolicy => "write `spec: {}` for a policy that allows nothing",
        };
        Some(Self {
            kind,
            name,
            line: node.line,
            spec: document.need("spec", remedy, problems)?,
        })
    }
}

impl Kind {
    /// Read before anything else: keys of another kind's document are not worth reporting.
    fn of(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let what = format!("the document is {}, not an object", node.kind());
            let remedy = "write a document with apiVersion, kind, metadata and spec";
            problems.error(node.line, what, remedy);
            return None;
        };
        let Some(entry) = entries.iter().find(|entry| entry.key == "kind") else {
            let remedy = "write `kind: AuthorizationPolicy`";
            problems.error(node.line, "kind is missing", remedy);
            return None;
        };
        match table::text(&entry.node, "kind", problems)? {
            "AuthorizationPolicy" => Some(Self::AuthorizationPolicy),
            other => {
                let what = format!("kind {other:?} is not supported");
                let remedy = "only AuthorizationPolicy is read here; move it to another place";
                problems.error(node.line, what, remedy);
                None
            }
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

fn name(node: &Node, problems: &mut Problems) -> Option<ObjectName> {
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
    Some(ObjectName::new(namespace, name))
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
