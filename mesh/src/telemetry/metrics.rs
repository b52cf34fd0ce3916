//! Istio's `Metrics`: which of the standard metrics there are, with which tags, for whom.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    metric::Metric,
    provider,
    side::{Side, Sides},
    tag::{self, TagOverride},
};
use crate::{
    problem::Problems,
    read::{
        scalar, table,
        table::{Schema, Table},
        yaml::Node,
    },
};

/// The metrics for one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// The name of who takes them; `None` is the one that the proxy is configured for.
    pub provider: Option<Box<str>>,
    disabled: BTreeSet<Metric>,
    tags: BTreeMap<Metric, BTreeMap<Box<str>, TagOverride>>,
}

/// An item of a `metrics`.
#[derive(Debug, Clone)]
pub(super) struct MetricsItem {
    providers: Vec<Box<str>>,
    overrides: Vec<Override>,
}

#[derive(Debug, Clone)]
struct Override {
    metrics: Vec<Metric>,
    sides: Sides,
    disabled: Option<bool>,
    tags: BTreeMap<Box<str>, TagOverride>,
}

/// What holds on one side; `None` if no section says anything. Sections come from the nearest to
/// that of the whole mesh.
pub(super) fn merge(side: Side, sections: &[&[MetricsItem]]) -> Option<Vec<Metrics>> {
    if sections.iter().all(|items| items.is_empty()) {
        return None;
    }
    let mut metrics = in_scope(sections);
    for item in sections.iter().rev().copied().flatten() {
        for of_provider in metrics.iter_mut().filter(|it| item.concerns(it)) {
            let overrides = item.overrides.iter().filter(|it| it.sides.have(side));
            overrides.for_each(|it| of_provider.apply(it));
        }
    }
    Some(metrics)
}

/// The providers that the nearest section names that names any.
fn in_scope(sections: &[&[MetricsItem]]) -> Vec<Metrics> {
    let names = |items: &&[MetricsItem]| -> Vec<Box<str>> {
        let mut names: Vec<Box<str>> = Vec::new();
        for name in items.iter().flat_map(|item| &item.providers) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let named = sections.iter().map(names).find(|names| !names.is_empty());
    match named {
        Some(names) => names.into_iter().map(|it| Metrics::new(Some(it))).collect(),
        None => vec![Metrics::new(None)],
    }
}

impl Metrics {
    fn new(provider: Option<Box<str>>) -> Self {
        Self {
            provider,
            disabled: BTreeSet::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Whether the metric is not to be counted.
    pub fn is_disabled(&self, metric: Metric) -> bool {
        self.disabled.contains(&metric)
    }

    /// What becomes of the tags of a metric, by their names; those that are not named stay as they
    /// are.
    pub fn tags(&self, metric: Metric) -> impl Iterator<Item = (&str, &TagOverride)> {
        let tags = self.tags.get(&metric).into_iter().flatten();
        tags.map(|(name, tag)| (&**name, tag))
    }

    fn apply(&mut self, change: &Override) {
        for metric in &change.metrics {
            match change.disabled {
                Some(true) => {
                    self.disabled.insert(*metric);
                }
                Some(false) => {
                    self.disabled.remove(metric);
                }
                None => {}
            }
            let tags = change.tags.clone();
            self.tags.entry(*metric).or_default().extend(tags);
        }
    }
}

impl MetricsItem {
    /// The items of a `metrics`.
    pub(super) fn read(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Self>> {
        let items = table::list(list, location, problems).iter().enumerate();
        let read = items.map(|(index, node)| {
            let table = Table::open(node, &format!("{location}[{index}]"), ITEM, problems);
            let providers = table.take("providers", problems, provider::read);
            let overrides = table.take("overrides", problems, Override::read);
            if table.was_empty() {
                let what = format!("{} says nothing", table.location);
                problems.error(
                    node.line,
                    what,
                    "write overrides or providers, or remove it",
                );
            }
            Self {
                providers: providers.unwrap_or_default(),
                overrides: overrides.unwrap_or_default(),
            }
        });
        Some(read.collect())
    }

    /// The names of those that it is for; of nobody if it is for all.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|name| &**name)
    }

    fn concerns(&self, metrics: &Metrics) -> bool {
        let provider = metrics.provider.as_ref();
        self.providers.is_empty() || provider.is_some_and(|it| self.providers.contains(it))
    }
}

impl Override {
    fn read(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Self>> {
        let items = table::list(list, location, problems).iter().enumerate();
        let read =
            items.map(|(index, node)| Self::item(node, &format!("{location}[{index}]"), problems));
        Some(read.collect())
    }

    fn item(node: &Node, location: &str, problems: &mut Problems) -> Self {
        let table = Table::open(node, location, OVERRIDE, problems);
        let matched = table.take("match", problems, |node, location, problems| {
            let table = Table::open(node, location, MATCH, problems);
            Some((
                table.take("metric", problems, Metric::read),
                table.take("mode", problems, Sides::read),
            ))
        });
        let (metrics, sides) = matched.unwrap_or_default();
        let disabled = table.take("disabled", problems, scalar::truth);
        let tags = table.take("tagOverrides", problems, tag::read);
        if table.has_only(&["match"]) {
            let what = format!("{location} changes nothing");
            problems.error(
                node.line,
                what,
                "write disabled or tagOverrides, or remove it",
            );
        }
        Self {
            metrics: metrics.unwrap_or_else(|| Metric::ALL.to_vec()),
            sides: sides.unwrap_or(Sides::Both),
            disabled,
            tags: tags.unwrap_or_default(),
        }
    }
}

const ITEM: Schema = Schema {
    read: &["providers", "overrides"],
    bookkeeping: &[],
    not_yet: &[(
        "reportingInterval",
        "remove it; bytes of a connection are counted as they pass",
    )],
};

const OVERRIDE: Schema = Schema {
    read: &["match", "disabled", "tagOverrides"],
    bookkeeping: &[],
    not_yet: &[],
};

const MATCH: Schema = Schema {
    read: &["metric", "mode"],
    bookkeeping: &[],
    not_yet: &[("customMetric", "name a standard metric with `metric`")],
};
