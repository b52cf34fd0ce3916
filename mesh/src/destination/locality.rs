//! Istio's `localityLbSetting`: how much it counts where client and endpoint run.

use std::{collections::BTreeMap, fmt};

use crate::{
    problem::Problems,
    read::{
        Locality, scalar,
        table::{self, Schema, Table},
        yaml::{Node, Value},
    },
};

/// How much the localities of client and endpoint count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LocalityBalancing {
    /// Nothing. Where Istio counts them as soon as there is an `outlierDetection`, here somebody
    /// has to ask for it.
    #[default]
    Off,
    /// Nearer endpoints go first, if it is known which ones are well.
    Nearest,
    /// Calls from some localities are divided among others; those that are not named get none.
    Distribute(Vec<Distribution>),
    /// Nearer endpoints go first; after a whole region, those of another one that is named.
    Failover(RegionOf),
    /// The more of these labels an endpoint has in common with the client, counted from the first
    /// until one differs, the earlier it goes.
    Priority(Vec<PriorityLabel>),
}

/// The region that takes the place of another one.
pub type RegionOf = BTreeMap<Box<str>, Box<str>>;

/// How calls from some localities are divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// From where.
    pub from: LocalityPattern,
    /// To where; all shares together are 100 percent.
    pub to: Vec<LocalityShare>,
}

/// What some localities get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalityShare {
    /// Where they are.
    pub to: LocalityPattern,
    /// How many percent, at least one.
    pub percent: u8,
}

/// One or many localities: `us/east`, `us/*`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalityPattern(Vec<Box<str>>);

/// A label that client and endpoint have in common, or one that the endpoint has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriorityLabel {
    /// Its key.
    pub key: Box<str>,
    /// The value that the endpoint has to have; without it, that of the client.
    pub value: Option<Box<str>>,
}

impl LocalityBalancing {
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, SETTING, problems);
        let ways: Vec<&str> = WAYS.into_iter().filter(|way| table.has(way)).collect();
        if let [first, second, ..] = ways.as_slice() {
            let what = format!("{location} has both {first} and {second}");
            problems.error(node.line, what, "keep one of them");
        }
        let enabled = table.take("enabled", problems, scalar::truth);
        if enabled == Some(false) {
            if let Some(way) = ways.first() {
                let what = format!("{} has no effect, as enabled is false", table.name(way));
                problems.error(node.line, what, "remove one of them");
            }
            return Some(Self::Off);
        }
        if table.was_empty() {
            let what = format!("{location} says nothing");
            problems.error(node.line, what, "write `enabled: false` to turn it off");
        }
        let distribute = table.take("distribute", problems, distribute);
        let failover = table.take("failover", problems, failover);
        let priority = table.take("failoverPriority", problems, priority);
        let way = distribute.map(Self::Distribute);
        let way = way.or_else(|| failover.map(Self::Failover));
        let way = way.or_else(|| priority.map(Self::Priority));
        Some(way.unwrap_or(Self::Nearest))
    }

    /// Whether it needs to be known which endpoints are well.
    pub(super) fn needs_outliers(&self) -> bool {
        match self {
            Self::Failover(_) | Self::Priority(_) => true,
            Self::Nearest | Self::Off | Self::Distribute(_) => false,
        }
    }
}

impl LocalityPattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self(Vec::new()));
        }
        let parts: Vec<&str> = text.strip_suffix("/*").unwrap_or(text).split('/').collect();
        let legal = |part: &&str| !part.is_empty() && !part.contains(['*', ' ']);
        let named = parts.len() <= 3 && parts.iter().all(legal);
        named.then(|| Self(parts.into_iter().map(Into::into).collect()))
    }

    /// Whether a locality is one of these.
    pub fn matches(&self, locality: &Locality) -> bool {
        let parts = [
            Some(&locality.region),
            locality.zone.as_ref(),
            locality.subzone.as_ref(),
        ];
        let mut parts = parts.into_iter();
        self.0
            .iter()
            .all(|wanted| parts.next().flatten() == Some(wanted))
    }

    /// Whether something that runs there, or nobody knows where, is one of these.
    pub(crate) fn has(&self, locality: Option<&Locality>) -> bool {
        locality.map_or(self.0.is_empty(), |locality| self.matches(locality))
    }

    /// Whether a locality can be one of both.
    fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }
}

impl fmt::Display for LocalityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        f.write_str(&self.0.join("/"))
    }
}

fn pattern(
    text: &str,
    location: &str,
    line: u64,
    problems: &mut Problems,
) -> Option<LocalityPattern> {
    let pattern = LocalityPattern::parse(text);
    if pattern.is_none() {
        let what = format!("{location} {text:?} is not a locality");
        problems.error(line, what, "write `region/zone/subzone`, or `region/*`");
    }
    pattern
}

fn distribute(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Distribution>> {
    let mut all: Vec<Distribution> = Vec::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let table = Table::open(node, &location, DISTRIBUTE, problems);
        for key in ["from", "to"] {
            table.need(key, "write `{ from: us/*, to: { us/*: 100 } }`", problems);
        }
        let to = table.take("to", problems, shares);
        let from = table.take("from", problems, |node, location, problems| {
            let text = table::text(node, location, problems)?;
            pattern(text, location, node.line, problems)
        });
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        if let Some(other) = all.iter().find(|other| other.from.overlaps(&from)) {
            let what = format!("{location}.from {from} overlaps with {}", other.from);
            problems.error(node.line, what, "say it once for each locality");
        }
        all.push(Distribution { from, to });
    }
    Some(all)
}

fn shares(node: &Node, location: &str, problems: &mut Problems) -> Option<Vec<LocalityShare>> {
    let Value::Map(entries) = &node.value else {
        table::wrong_kind(node, location, "a mapping", problems);
        return None;
    };
    let mut shares: Vec<LocalityShare> = Vec::new();
    for entry in entries {
        let location = format!("{location}.{}", entry.key);
        let percent = scalar::number(&entry.node, &location, 1..=100, problems);
        let Some(to) = pattern(&entry.key, &location, entry.line, problems) else {
            continue;
        };
        if let Some(other) = shares.iter().find(|other| other.to.overlaps(&to)) {
            let what = format!("{location} overlaps with {}", other.to);
            problems.error(entry.line, what, "say it once for each locality");
        }
        shares.extend(percent.map(|percent| LocalityShare { to, percent }));
    }
    let sum: u32 = shares.iter().map(|it| u32::from(it.percent)).sum();
    if sum != 100 {
        let what = format!("the shares of {location} are {sum} percent together");
        problems.error(node.line, what, "make them 100");
    }
    Some(shares)
}

fn failover(list: &Node, location: &str, problems: &mut Problems) -> Option<RegionOf> {
    let mut all = RegionOf::new();
    for (index, node) in table::list(list, location, problems).iter().enumerate() {
        let location = format!("{location}[{index}]");
        let table = Table::open(node, &location, FAILOVER, problems);
        for key in ["from", "to"] {
            table.need(key, "write `{ from: us, to: eu }`", problems);
        }
        let from = table.take("from", problems, region);
        let to = table.take("to", problems, region);
        let (Some(from), Some(to)) = (from, to) else {
            continue;
        };
        if from == to {
            let what = format!("{location} leads from {from} to itself");
            problems.error(node.line, what, "name another region");
        }
        if all.insert(from.into(), to.into()).is_some() {
            let what = format!("{location} leads from {from} again");
            problems.error(node.line, what, "keep one of them");
        }
    }
    Some(all)
}

fn region<'n>(node: &'n Node, location: &str, problems: &mut Problems) -> Option<&'n str> {
    let text = table::text(node, location, problems)?;
    let legal = !text.contains(['/', '*', ' ']);
    if !legal {
        let what = format!("{location} {text:?} is not a region");
        problems.error(node.line, what, "write only the first part of a locality");
    }
    legal.then_some(text)
}

fn priority(list: &Node, location: &str, problems: &mut Problems) -> Option<Vec<PriorityLabel>> {
    let mut labels: Vec<PriorityLabel> = Vec::new();
    for node in table::list(list, location, problems) {
        let Some(text) = table::text(node, location, problems) else {
            continue;
        };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        if key.is_empty() || text.contains(['*', ' ']) {
            let what = format!("{location} {text:?} is not a label");
            problems.error(node.line, what, "write `key` or `key=value`");
        }
        if labels.iter().any(|other| *other.key == *key) {
            let what = format!("{location} names {key} twice");
            problems.error(node.line, what, "keep one of them");
        }
        labels.push(PriorityLabel {
            key: key.into(),
            value: value.map(Into::into),
        });
    }
    Some(labels)
}

const WAYS: [&str; 3] = ["distribute", "failover", "failoverPriority"];

const SETTING: Schema = Schema {
    read: &["enabled", "distribute", "failover", "failoverPriority"],
    bookkeeping: &[],
    not_yet: &[],
};

const DISTRIBUTE: Schema = Schema {
    read: &["from", "to"],
    bookkeeping: &[],
    not_yet: &[],
};

const FAILOVER: Schema = DISTRIBUTE;
