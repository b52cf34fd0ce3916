//! Where a route leads, and by which share.

use std::fmt;

use super::headers::HeaderOperations;
use crate::{
    problem::Problems,
    read::{
        HostName, scalar,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// A service, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The service; a wildcard is the service that has the same wildcard.
    pub host: HostName,
    /// The name of the part, which a DestinationRule describes.
    pub subset: Option<Box<str>>,
    /// The port of the service. Without it, it is the only one that the service has, or else the
    /// one that the client called.
    pub port: Option<u16>,
}

/// A destination with its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedDestination {
    /// Where it leads.
    pub destination: Destination,
    /// Its part of the sum of all weights; never 0.
    pub weight: u32,
    /// What is changed of messages that go there.
    pub headers: HeaderOperations,
}

/// At least one destination, of which each call gets one by its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedDestinations {
    first: WeightedDestination,
    rest: Vec<WeightedDestination>,
    total: u64,
}

impl WeightedDestinations {
    /// Reads a `route` whose items have what `schema` says.
    pub(super) fn read(
        node: &Node,
        location: &str,
        from: From<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let nodes = table::list(node, location, problems);
        let only = nodes.len() == 1;
        let mut destinations = Vec::new();
        for (index, item) in nodes.iter().enumerate() {
            let table = Table::open(item, &format!("{location}[{index}]"), from.schema, problems);
            destinations.extend(weighted(&table, only, from.namespace, problems));
        }
        let total = destinations.iter().map(|it| u64::from(it.weight)).sum();
        if total == 0 && nodes.len() > 1 {
            let what = format!("the weights of {location} are 0 together");
            problems.error(node.line, what, "give one of them a weight above 0");
        }
        let mut drawn = destinations.into_iter().filter(|it| it.weight > 0);
        let first = drawn.next()?;
        Some(Self {
            first,
            rest: drawn.collect(),
            total,
        })
    }

    /// The destination of one call. `random` is any number, each as likely as any other.
    pub fn pick(&self, random: u64) -> &WeightedDestination {
        let mut point = (u128::from(random) * u128::from(self.total)) >> u64::BITS;
        for destination in self.iter() {
            match point.checked_sub(u128::from(destination.weight)) {
                Some(beyond) => point = beyond,
                None => return destination,
            }
        }
        &self.first
    }

    /// The sum of all weights.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Every destination that gets anything, in the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &WeightedDestination> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

/// What destinations are read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    /// The namespace of short names.
    pub(super) namespace: &'a str,
    pub(super) schema: Schema,
}

/// The weight of the only destination does not matter.
fn weighted(
    table: &Table<'_>,
    only: bool,
    namespace: &str,
    problems: &mut Problems,
) -> Option<WeightedDestination> {
    let written = table.get("weight");
    let weight = table.take("weight", problems, |node, location, problems| {
        scalar::number(node, location, 0..=MOST, problems)
    });
    if written.is_none() && !only {
        let what = format!("{} has no weight, so nothing goes there", table.location);
        problems.warn(table.line, what, "give it a weight, or remove it");
    }
    let headers = table.take("headers", problems, HeaderOperations::read);
    let remedy = "write `destination: { host: … }`";
    let node = table.need("destination", remedy, problems)?;
    let destination = Destination::read(node, &table.name("destination"), namespace, problems)?;
    Some(WeightedDestination {
        destination,
        weight: if only { 1 } else { weight.unwrap_or(0) },
        headers: headers.unwrap_or_default(),
    })
}

impl Destination {
    pub(super) fn read(
        node: &Node,
        location: &str,
        namespace: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, DESTINATION, problems);
        let subset = table.take("subset", problems, scalar::dns_label);
        let port = table.take("port", problems, |node, location, problems| {
            let table = Table::open(node, location, PORT, problems);
            table.need("number", "write `port: { number: … }`", problems)?;
            table.take("number", problems, scalar::port)
        });
        let host = table.need("host", "name the service", problems)?;
        Some(Self {
            host: HostName::read(host, &table.name("host"), namespace, problems)?,
            subset: subset.map(Into::into),
            port,
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match &self.subset {
            Some(subset) => write!(f, " subset {subset}"),
            None => Ok(()),
        }
    }
}

/// What a destination of HTTP has.
pub(super) const OF_HTTP: Schema = Schema {
    read: &["destination", "weight", "headers"],
    bookkeeping: &[],
    not_yet: &[],
};

/// What a destination of a connection has.
pub(super) const OF_CONNECTIONS: Schema = Schema {
    read: &["destination", "weight"],
    bookkeeping: &[],
    not_yet: &[],
};

const DESTINATION: Schema = Schema {
    read: &["host", "subset", "port"],
    bookkeeping: &[],
    not_yet: &[],
};

const PORT: Schema = Schema {
    read: &["number"],
    bookkeeping: &[],
    not_yet: &[],
};

/// The largest weight, which is an `int32` of Istio's.
const MOST: u32 = i32::MAX.unsigned_abs();
