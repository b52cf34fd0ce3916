//! The envelope that every document has, whatever its kind: apiVersion, kind, metadata, and a
//! `spec` that its kind reads.

mod export;
mod hierarchy;
mod kind;
mod name;
mod objects;
mod selector;
mod workload;

pub(crate) use export::{ExportTo, Exported, Scope, seen_from};
pub use hierarchy::ObjectRef;
pub(crate) use hierarchy::{Hierarchy, Inherited, Level};
pub use kind::Kind;
pub use name::ObjectName;
pub(crate) use objects::{Change, Located, Objects, located};
pub(crate) use selector::Selector;
pub use workload::Workload;

use name::kubernetes_name;

use crate::{
    problem::Problems,
    read::{
        Source,
        table::{self, Schema, Table},
        yaml::{self, Entry, Node, Value},
    },
};

/// A document whose envelope is valid.
#[derive(Debug)]
pub(crate) struct Object<'n> {
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    /// Where the document begins.
    pub(crate) line: u64,
    /// The labels that stand in its metadata.
    pub(crate) labels: Option<&'n Node>,
    /// Whether it is to be tried without effect, and the line that says so.
    pub(crate) dry_run: Option<u64>,
    /// The annotation that says how endpoints are checked.
    pub(crate) health_check: Option<&'n Entry>,
    /// The annotation that says how an endpoint is chosen in a way that Istio has not.
    pub(crate) load_balancer: Option<&'n Entry>,
    /// What its kind reads.
    pub(crate) spec: &'n Node,
}

/// Hands every object of all documents of a source to `take`.
pub(crate) fn each(
    source: &Source,
    problems: &mut Problems,
    mut take: impl FnMut(Object<'_>, &mut Problems),
) {
    problems.enter(&source.name);
    for node in yaml::documents(&source.text, problems) {
        if let Some(object) = Object::open(&node, problems) {
            take(object, problems);
        }
    }
}

impl<'n> Object<'n> {
    /// The object of a document, or `None` after an error that leaves nothing to go on with.
    fn open(node: &'n Node, problems: &mut Problems) -> Option<Self> {
        let kind = Kind::of(node, problems)?;
        let document = Table::open(node, "", DOCUMENT, problems);
        version(&document, kind, problems);
        let metadata = document.need(
            "metadata",
            "write `metadata: { name: …, namespace: … }`",
            problems,
        )?;
        let metadata = Table::open(metadata, "metadata", METADATA, problems);
        let name = name(&metadata, problems)?;
        let annotations = metadata.get("annotations");
        let dry_run = annotations.and_then(|node| dry_run(node, kind, problems));
        let mut of_rule = |key| annotations.and_then(|node| of_rule(node, key, kind, problems));
        let (health_check, load_balancer) = (of_rule(HEALTH_CHECK), of_rule(LOAD_BALANCER));
        let remedy = match kind {
            Kind::AuthorizationPolicy => "write `spec: {}` for a policy that allows nothing",
            Kind::PeerAuthentication
            | Kind::RequestAuthentication
            | Kind::VirtualService
            | Kind::DestinationRule
            | Kind::ServiceEntry
            | Kind::WorkloadEntry
            | Kind::Telemetry => "write `spec: { … }`",
        };
        Some(Self {
            kind,
            name,
            line: node.line,
            labels: metadata.get("labels"),
            dry_run,
            health_check,
            load_balancer,
            spec: document.need("spec", remedy, problems)?,
        })
    }
}

fn version(document: &Table<'_>, kind: Kind, problems: &mut Problems) {
    let versions = kind.versions();
    let remedy = format!(
        "for {} write `apiVersion: {}`",
        kind.name(),
        versions.first().copied().unwrap_or_default()
    );
    let Some(node) = document.need("apiVersion", &remedy, problems) else {
        return;
    };
    let Some(version) = table::text(node, "apiVersion", problems) else {
        return;
    };
    if !versions.contains(&version) {
        problems.error(
            node.line,
            format!("apiVersion {version:?} is not supported"),
            remedy,
        );
    }
}

fn name(metadata: &Table<'_>, problems: &mut Problems) -> Option<ObjectName> {
    let namespace = match metadata.get("namespace") {
        Some(node) => kubernetes_name(node, "metadata.namespace", problems)?,
        None => "default",
    };
    let name = metadata.need("name", "give the object a name", problems)?;
    let name = kubernetes_name(name, "metadata.name", problems)?;
    Some(ObjectName::new(namespace, name))
}

/// The line that asks for a trial. To ignore it would enforce what was meant as one.
fn dry_run(annotations: &Node, kind: Kind, problems: &mut Problems) -> Option<u64> {
    let Value::Map(entries) = &annotations.value else {
        problems.error(
            annotations.line,
            "metadata.annotations must be a mapping",
            "write `key: \"value\"` pairs",
        );
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == DRY_RUN)?;
    let is_on = match &entry.node.value {
        Value::Text(text) if text == "true" => true,
        Value::Text(text) if text == "false" => false,
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            let what = format!("{DRY_RUN} is neither \"true\" nor \"false\"");
            problems.error(entry.line, what, "write \"true\", with its quotes");
            false
        }
    };
    if is_on && kind != Kind::AuthorizationPolicy {
        let what = format!("{} cannot be tried: {DRY_RUN} is for policies", kind.name());
        let remedy = "remove the annotation, or the document until it is meant";
        problems.error(entry.line, what, remedy);
    }
    is_on.then_some(entry.line)
}

/// How endpoints are called is said of destinations alone.
fn of_rule<'n>(
    annotations: &'n Node,
    key: &str,
    kind: Kind,
    problems: &mut Problems,
) -> Option<&'n Entry> {
    let Value::Map(entries) = &annotations.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    if kind != Kind::DestinationRule {
        let what = format!("{key} has no effect on a {}", kind.name());
        problems.error(entry.line, what, "write it on a DestinationRule");
    }
    Some(entry)
}

/// The annotation of a `DestinationRule` that says how its endpoints are chosen.
pub(crate) const LOAD_BALANCER: &str = "signet.io/load-balancer";

/// The annotation of a `DestinationRule` that says how its endpoints are checked.
pub(crate) const HEALTH_CHECK: &str = "signet.io/health-check";

const DRY_RUN: &str = "istio.io/dry-run";

const DOCUMENT: Schema = Schema {
    read: &["apiVersion", "kind", "metadata", "spec"],
    bookkeeping: &["status"],
    not_yet: &[],
};

const METADATA: Schema = Schema {
    read: &["name", "namespace", "annotations", "labels"],
    bookkeeping: &[
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
        "ownerReferences",
        "finalizers",
    ],
    not_yet: &[("generateName", "give the object a name")],
};
