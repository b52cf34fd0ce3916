//! The labels of a series: Istio's, and what the documents of the mesh make of them.

use signet_daemon::metrics::Labels;
use signet_mesh::{Metric, Metrics as OfTelemetry, Side, TagOverride};

use super::party::{Between, Party, UNKNOWN};

/// What all series of a meter have in common, in Istio's order.
#[derive(Debug)]
pub(super) struct Tags(Vec<Tag>);

/// A label that a document may change.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    name: String,
    value: String,
}

impl Tag {
    pub(super) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        Self { name, value }
    }
}

impl Tags {
    /// Those of calls between two, as `own` sees them, which is one of the two.
    pub(super) fn new(between: &Between, own: &Party) -> Self {
        let (reporter, source, destination) = match between.side {
            Side::Client => ("source", own, &between.other),
            Side::Server => ("destination", &between.other, own),
        };
        let service = &between.service;
        let name = service.name.as_deref();
        let name = name.or_else(|| destination.canonical_service());
        let namespace = service.namespace.as_deref();
        let namespace = namespace.or_else(|| destination.namespace());
        let mut tags = vec![Tag::new("reporter", reporter)];
        for (side, party) in [("source", source), ("destination", destination)] {
            let parts = party.tags().into_iter();
            tags.extend(parts.map(|(name, value)| Tag::new(format!("{side}_{name}"), value)));
        }
        for (name, value) in [
            ("destination_service", service.host.as_deref()),
            ("destination_service_name", name),
            ("destination_service_namespace", namespace),
        ] {
            tags.push(Tag::new(name, value.unwrap_or(UNKNOWN)));
        }
        Self(tags)
    }

    /// The labels of one metric with these more; none if nobody is to have it.
    pub(super) fn labels(
        &self,
        metric: Metric,
        more: &[Tag],
        rules: Option<&[OfTelemetry]>,
    ) -> Option<Labels> {
        let mut tags = self.0.clone();
        tags.extend_from_slice(more);
        if let Some(rules) = rules {
            let rule = rules.iter().find(|rule| is_ours(rule))?;
            if rule.is_disabled(metric) {
                return None;
            }
            for (name, change) in rule.tags(metric) {
                apply(&mut tags, name, change);
            }
        }
        let labels = tags.into_iter();
        Some(Labels::of(labels.map(|tag| (tag.name, tag.value))))
    }
}

/// Whether it is for Prometheus, which is who takes metrics here.
fn is_ours(rule: &OfTelemetry) -> bool {
    let provider = rule.provider.as_deref();
    provider.is_none_or(|provider| provider == "prometheus")
}

fn apply(tags: &mut Vec<Tag>, name: &str, change: &TagOverride) {
    match change {
        TagOverride::Remove => tags.retain(|tag| tag.name != name),
        TagOverride::Set(value) => match tags.iter_mut().find(|tag| tag.name == name) {
            Some(old) => old.value = value.as_ref().to_owned(),
            None => tags.push(Tag::new(name, value.as_ref())),
        },
    }
}
