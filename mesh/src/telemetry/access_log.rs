//! Istio's `AccessLogging`: which calls have a line in the access log, and where it goes.

use super::{
    filter::LogFilter,
    provider,
    side::{Side, Sides},
};
use crate::{
    problem::Problems,
    read::{
        scalar, table,
        table::{Schema, Table},
        yaml::Node,
    },
};

/// A place where lines go, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The name of who takes them; `None` is the one that the proxy is configured for.
    pub provider: Option<Box<str>>,
    /// Which lines; all of them without a filter.
    pub filter: Option<LogFilter>,
}

/// An item of an `accessLogging`.
#[derive(Debug, Clone)]
pub(super) struct AccessLogging {
    sides: Sides,
    providers: Vec<Box<str>>,
    /// No lines, in place of some.
    disabled: bool,
    filter: Option<LogFilter>,
}

/// What holds on one side: what the nearest section says that speaks of this side; `None` if no
/// one does. Sections come from the nearest to that of the whole mesh.
pub(super) fn merge<'s>(
    side: Side,
    sections: impl Iterator<Item = &'s [AccessLogging]>,
) -> Option<Vec<AccessLog>> {
    let speaks = |items: &[AccessLogging]| items.iter().any(|item| item.sides.have(side));
    let mut sections = sections.filter(|items| speaks(items));
    let mut logs = Vec::new();
    for item in sections.next()?.iter().filter(|it| it.sides.have(side)) {
        item.apply(&mut logs);
    }
    Some(logs)
}

impl AccessLogging {
    /// The items of an `accessLogging`.
    pub(super) fn read(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Self>> {
        let items = table::list(list, location, problems).iter().enumerate();
        let read =
            items.map(|(index, node)| Self::item(node, &format!("{location}[{index}]"), problems));
        Some(read.collect())
    }

    fn item(node: &Node, location: &str, problems: &mut Problems) -> Self {
        let table = Table::open(node, location, ITEM, problems);
        let sides = table.take("match", problems, Sides::read_match);
        let providers = table.take("providers", problems, provider::read);
        let disabled = table.take("disabled", problems, scalar::truth);
        let filter = table.take("filter", problems, |node, location, problems| {
            let table = Table::open(node, location, FILTER, problems);
            table.need("expression", "write `response.code >= 400`", problems);
            table.take("expression", problems, LogFilter::read)
        });
        if let Some(node) = table.get("filter").filter(|_| disabled == Some(true)) {
            let what = format!("{location}.filter has no effect, as nothing is logged");
            problems.error(node.line, what, "remove it, or `disabled`");
        }
        Self {
            sides: sides.unwrap_or(Sides::Both),
            providers: providers.unwrap_or_default(),
            disabled: disabled.unwrap_or(false),
            filter,
        }
    }

    /// The names of those that it is for; of nobody if it is for the proxy's own log.
    pub(super) fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(|name| &**name)
    }

    /// A later item goes before an earlier one of the same provider.
    fn apply(&self, logs: &mut Vec<AccessLog>) {
        if self.disabled && self.providers.is_empty() {
            logs.clear();
            return;
        }
        let named = self.providers.iter().cloned().map(Some);
        let default = self.providers.is_empty().then_some(None);
        for provider in named.chain(default) {
            logs.retain(|log| log.provider != provider);
            if !self.disabled {
                logs.push(AccessLog {
                    provider,
                    filter: self.filter.clone(),
                });
            }
        }
    }
}

const ITEM: Schema = Schema {
    read: &["match", "providers", "disabled", "filter"],
    bookkeeping: &[],
    not_yet: &[],
};

const FILTER: Schema = Schema {
    read: &["expression"],
    bookkeeping: &[],
    not_yet: &[],
};
