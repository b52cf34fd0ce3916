//! Reads the `spec` of a `DestinationRule`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    health_check::HealthCheck,
    load_balancer::{self, Balancing},
    policy::{ByPort, TrafficPolicy, Written},
};
use crate::{
    object::{ExportTo, LOAD_BALANCER, Object, ObjectName, Selector, located},
    problem::Problems,
    read::{
        HostName, labels, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What holds for calls of a host, and the parts that it has.
#[derive(Debug, Clone)]
pub struct DestinationRule {
    /// The name of the object.
    pub name: ObjectName,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its document begins on.
    pub line: u64,
    /// The host, or all hosts below a name.
    pub host: HostName,
    /// Its parts, by name.
    pub subsets: BTreeMap<Box<str>, Subset>,
    pub(super) policy: ByPort,
    pub(super) export: ExportTo,
    /// The clients of its namespace that it is for; `None` is all.
    pub(super) selector: Option<Selector>,
}

/// A part of a host.
#[derive(Debug, Clone)]
pub struct Subset {
    /// The labels that an endpoint of it has, all of them.
    pub labels: BTreeMap<String, String>,
    pub(super) policy: ByPort,
}

impl DestinationRule {
    /// Each policy of it: of the host, of its parts, and of their ports.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<TrafficPolicy>> {
        let parts = self.subsets.values().map(|subset| &subset.policy);
        std::iter::once(&self.policy)
            .chain(parts)
            .flat_map(ByPort::all)
    }

    /// The ports that it has settings of their own for, of a subset too.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        let subsets = self.subsets.values().map(|subset| &subset.policy);
        let ports = std::iter::once(&self.policy).chain(subsets);
        let ports: BTreeSet<u16> = ports.flat_map(ByPort::ports).collect();
        ports.into_iter()
    }

    /// To whom it is exported.
    pub(crate) fn export(&self) -> &ExportTo {
        &self.export
    }
}

located!(DestinationRule, "DestinationRule");

/// The `DestinationRule` that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Option<DestinationRule> {
    let Object {
        name,
        line,
        spec,
        health_check,
        load_balancer,
        ..
    } = object;
    let namespace = name.namespace();
    let check = health_check.and_then(|entry| HealthCheck::read(entry, problems));
    let check = check.map(Arc::new);
    let table = Table::open(spec, "spec", SPEC, problems);
    let policy = table.take("trafficPolicy", problems, |node, location, problems| {
        let policy = Written::read(node, location, problems)?;
        warn_of_idle_failover(&policy, None, node.line, problems);
        Some(policy)
    });
    let policy = policy.unwrap_or_default();
    let subsets = table.take("subsets", problems, |node, location, problems| {
        Some(subsets(node, location, &policy, problems))
    });
    let says = table.has("trafficPolicy")
        || table.has("subsets")
        || health_check.is_some()
        || load_balancer.is_some();
    if !says {
        let remedy = "write trafficPolicy or subsets";
        problems.error(table.line, "spec says nothing", remedy);
    }
    let selector = table.take("workloadSelector", problems, |node, location, problems| {
        Selector::some(node, location, SELECTOR, problems)
    });
    let balancing = load_balancer.and_then(|entry| load_balancer::annotated(entry, problems));
    let host = table.need("host", "name the service", problems)?;
    let rule = DestinationRule {
        host: HostName::read(host, &table.name("host"), namespace, problems)?,
        subsets: checked(subsets.unwrap_or_default(), check.as_ref()),
        policy: check.iter().fold(policy.compiled(), ByPort::checked),
        export: export(&table, namespace, problems),
        selector,
        file: problems.file(),
        line,
        name,
    };
    Some(match (balancing, load_balancer) {
        (Some(balancing), Some(entry)) => balanced(rule, &balancing, entry.line, problems),
        (None, _) | (_, None) => rule,
    })
}

/// The rule, with what its annotation says of how an endpoint is chosen.
fn balanced(
    rule: DestinationRule,
    balancing: &Balancing,
    line: u64,
    problems: &mut Problems,
) -> DestinationRule {
    let of_subset = |mut subset: Subset| {
        subset.policy = subset.policy.balanced(balancing);
        subset
    };
    let subsets = rule.subsets.into_iter();
    let rule = DestinationRule {
        policy: rule.policy.balanced(balancing),
        subsets: subsets.map(|(name, it)| (name, of_subset(it))).collect(),
        ..rule
    };
    let is_so = |policy: &Arc<TrafficPolicy>| policy.load_balancer.balancing == *balancing;
    let has_effect = rule.policies().any(is_so);
    if !has_effect {
        let what = format!("{LOAD_BALANCER} has no effect beside trafficPolicy.loadBalancer");
        problems.error(line, what, "keep one of them");
    }
    rule
}

/// The subsets, whose endpoints are checked as those of the host are.
fn checked(
    mut subsets: BTreeMap<Box<str>, Subset>,
    check: Option<&Arc<HealthCheck>>,
) -> BTreeMap<Box<str>, Subset> {
    for subset in subsets.values_mut() {
        let policy = std::mem::take(&mut subset.policy);
        subset.policy = check.into_iter().fold(policy, ByPort::checked);
    }
    subsets
}

/// A selector selects in the namespace of the rule alone.
fn export(table: &Table<'_>, namespace: &str, problems: &mut Problems) -> ExportTo {
    let export = table.take("exportTo", problems, |node, _, problems| {
        Some(ExportTo::read(node, namespace, problems))
    });
    let Some(selector) = table.get("workloadSelector") else {
        return export.unwrap_or(ExportTo::All);
    };
    if export.is_some_and(|export| !export.is_only(namespace)) {
        let what = "spec.exportTo reaches other namespaces, in which workloadSelector selects none";
        problems.error(selector.line, what, "write `exportTo: ['.']`, or remove it");
    }
    ExportTo::only(namespace)
}

fn subsets(
    list: &Node,
    location: &str,
    above: &Written,
    problems: &mut Problems,
) -> BTreeMap<Box<str>, Subset> {
    let mut subsets: BTreeMap<Box<str>, Subset> = BTreeMap::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let table = Table::open(node, &format!("{location}[{index}]"), SUBSET, problems);
        table.need("name", "name the subset, as in `v1`", problems);
        let labels = table.take("labels", problems, |node, location, problems| {
            Some(labels::read(node, location, problems))
        });
        let labels = labels.unwrap_or_default();
        if labels.is_empty() && !table.has("trafficPolicy") {
            let what = format!("{} is all of the host, in no other way", table.location);
            problems.error(node.line, what, "write the labels of its endpoints");
        }
        let policy = table.take("trafficPolicy", problems, |node, location, problems| {
            let policy = Written::read(node, location, problems)?;
            warn_of_idle_failover(&policy, Some(above), node.line, problems);
            Some(policy)
        });
        let Some(name) = table.take("name", problems, scalar::dns_label) else {
            continue;
        };
        let policy = above.under(&policy.unwrap_or_default());
        let subset = Subset { labels, policy };
        if subsets.insert(name.into(), subset).is_some() {
            let what = format!("{} has the name of another one, {name}", table.location);
            problems.error(node.line, what, "rename or remove one of them");
        }
    }
    subsets
}

fn warn_of_idle_failover(
    policy: &Written,
    above: Option<&Written>,
    line: u64,
    problems: &mut Problems,
) {
    if policy.fails_over_idly(above) {
        let what = "endpoints elsewhere are never taken, as nothing says which ones are well";
        problems.warn(line, what, "write outlierDetection beside the failover");
    }
}

const SPEC: Schema = Schema {
    read: &[
        "host",
        "trafficPolicy",
        "subsets",
        "exportTo",
        "workloadSelector",
    ],
    bookkeeping: &[],
    not_yet: &[],
};

const SUBSET: Schema = Schema {
    read: &["name", "labels", "trafficPolicy"],
    bookkeeping: &[],
    not_yet: &[],
};

const SELECTOR: Schema = Schema {
    read: &["matchLabels"],
    bookkeeping: &[],
    not_yet: &[],
};
