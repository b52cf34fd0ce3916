//! Istio's `Tracing`: which calls are traced, with which tags, for whom.

use std::collections::BTreeMap;

use super::{
    custom_tag::{self, CustomTag},
    provider,
    side::{Side, Sides},
};
use crate::{
    problem::Problems,
    read::{
        Percent, scalar, table,
        table::{Schema, Table},
        yaml::Node,
    },
};

/// How calls are traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// The name of who takes spans; `None` is the one that the proxy is configured for.
    pub provider: Option<Box<str>>,
    /// How many of the calls are traced of which the caller has not decided that; `None` is as the
    /// proxy is configured.
    pub sampling: Option<Percent>,
    /// Whether spans are sent. The context of a trace is handed on all the same.
    pub reports_spans: bool,
    /// Tags that each span has beside others, by their names.
    pub custom_tags: BTreeMap<Box<str>, CustomTag>,
    /// Whether the ID of a request says whether it is traced.
    pub uses_request_id: bool,
    /// Whether spans have the tags that Istio gives them.
    pub has_istio_tags: bool,
}

/// An item of a `tracing`. What is not there is inherited.
#[derive(Debug, Clone)]
pub(super) struct TracingItem {
    sides: Sides,
    provider: Option<Box<str>>,
    sampling: Option<Percent>,
    disabled: Option<bool>,
    custom_tags: Option<BTreeMap<Box<str>, CustomTag>>,
    uses_request_id: Option<bool>,
    has_istio_tags: Option<bool>,
}

/// What holds on one side, each field as the nearest item says; `None` if none speaks of the side.
/// Sections come from the nearest to that of the whole mesh.
pub(super) fn merge(side: Side, sections: &[&[TracingItem]]) -> Option<Tracing> {
    let items = sections.iter().rev().copied().flatten();
    let mut items = items.filter(|item| item.sides.have(side)).peekable();
    items.peek()?;
    let mut tracing = Tracing::default();
    items.for_each(|item| tracing.apply(item));
    Some(tracing)
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            provider: None,
            sampling: None,
            reports_spans: true,
            custom_tags: BTreeMap::new(),
            uses_request_id: true,
            has_istio_tags: true,
        }
    }
}

impl Tracing {
    fn apply(&mut self, item: &TracingItem) {
        if let Some(provider) = &item.provider {
            self.provider = Some(provider.clone());
        }
        self.sampling = item.sampling.or(self.sampling);
        if let Some(disabled) = item.disabled {
            self.reports_spans = !disabled;
        }
        if let Some(tags) = &item.custom_tags {
            self.custom_tags = tags.clone();
        }
        self.uses_request_id = item.uses_request_id.unwrap_or(self.uses_request_id);
        self.has_istio_tags = item.has_istio_tags.unwrap_or(self.has_istio_tags);
    }
}

impl TracingItem {
    /// The items of a `tracing`.
    pub(super) fn read(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Self>> {
        let items = table::list(list, location, problems).iter().enumerate();
        let read =
            items.map(|(index, node)| Self::item(node, &format!("{location}[{index}]"), problems));
        Some(read.collect())
    }

    /// The name of who takes spans, if it says one.
    pub(super) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Whether a tag is a variable of the proxy's environment.
    pub(super) fn reads_environment(&self) -> bool {
        let mut tags = self.custom_tags.iter().flat_map(BTreeMap::values);
        tags.any(|tag| matches!(tag, CustomTag::Environment { .. }))
    }

    /// Whether it asks for sampling by the ID of a request.
    pub(super) fn samples_by_request_id(&self) -> bool {
        self.uses_request_id == Some(true)
    }

    fn item(node: &Node, location: &str, problems: &mut Problems) -> Self {
        let table = Table::open(node, location, ITEM, problems);
        if table.has_only(&["match"]) {
            let what = format!("{location} changes nothing");
            problems.error(node.line, what, "write what it is to change, or remove it");
        }
        let sides = table.take("match", problems, Sides::read_match);
        Self {
            sides: sides.unwrap_or(Sides::Both),
            provider: table.take("providers", problems, one_provider),
            sampling: table.take("randomSamplingPercentage", problems, Percent::number),
            disabled: table.take("disableSpanReporting", problems, scalar::truth),
            custom_tags: table.take("customTags", problems, custom_tag::read),
            uses_request_id: table.take("useRequestIdForTraceSampling", problems, scalar::truth),
            has_istio_tags: table.take("enableIstioTags", problems, scalar::truth),
        }
    }
}

fn one_provider(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let mut names = provider::read(node, location, problems)?.into_iter();
    let first = names.next();
    if names.next().is_some() {
        let what = format!("{location} names more than one, and spans go to one");
        problems.error(node.line, what, "keep one of them");
    }
    first
}

const ITEM: Schema = Schema {
    read: &[
        "match",
        "providers",
        "randomSamplingPercentage",
        "disableSpanReporting",
        "customTags",
        "useRequestIdForTraceSampling",
        "enableIstioTags",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "disableContextPropagation",
        "remove it; the context of a trace is always handed on",
    )],
};
