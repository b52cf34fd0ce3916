//! Copies of requests, whose answers nobody waits for.

use std::fmt;

use super::{destination::Destination, request::split_port};
use crate::{
    problem::Problems,
    read::{
        Percent, scalar,
        table::{self, Schema, Table},
    },
};

/// Where copies of requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The destination.
    pub destination: Destination,
    /// Of how many requests; each mirror is drawn on its own.
    pub percent: Percent,
}

impl Mirror {
    /// The authority of a copy, as in Envoy: `shop.test-shadow:80`. An address of IPv6 stays, as
    /// it would be none any more.
    pub fn authority(of_request: &str) -> String {
        match split_port(of_request) {
            (host, _) if host.ends_with(']') => of_request.to_owned(),
            (host, Some(port)) => format!("{host}-shadow:{port}"),
            (host, None) => format!("{host}-shadow"),
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.percent, self.destination)
    }
}

/// Reads `mirrors`, or `mirror` with its share, of a route.
pub(super) fn read(route: &Table<'_>, namespace: &str, problems: &mut Problems) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    if let Some(node) = route.get("mirrors") {
        let location = route.name("mirrors");
        if let Some(one) = route.get("mirror") {
            let what = format!("{} and mirrors are both given", route.name("mirror"));
            problems.error(one.line, what, "keep mirrors");
        }
        for (index, item) in table::list(node, &location, problems).iter().enumerate() {
            let table = Table::open(item, &format!("{location}[{index}]"), MIRROR, problems);
            let percent = table.take("percentage", problems, Percent::read);
            let node = table.need("destination", "say where copies go", problems);
            mirrors.extend(node.and_then(|node| {
                let name = table.name("destination");
                let destination = Destination::read(node, &name, namespace, problems)?;
                let percent = percent.unwrap_or(Percent::ALL);
                Some(Mirror {
                    destination,
                    percent,
                })
            }));
        }
    }
    let percent = share(route, problems);
    mirrors.extend(route.take("mirror", problems, |node, location, problems| {
        let destination = Destination::read(node, location, namespace, problems)?;
        Some(Mirror {
            destination,
            percent,
        })
    }));
    mirrors.retain(|mirror| !mirror.percent.is_none());
    mirrors
}

/// The share of `mirror`, which is all if nothing is written.
fn share(route: &Table<'_>, problems: &mut Problems) -> Percent {
    for key in ["mirrorPercentage", "mirrorPercent"] {
        if let Some(node) = route.get(key).filter(|_| route.get("mirror").is_none()) {
            let what = format!("{} has no effect without mirror", route.name(key));
            problems.error(
                node.line,
                what,
                "write `mirror`, or the percentage into `mirrors`",
            );
        }
    }
    let old = route.take("mirrorPercent", problems, |node, location, problems| {
        let what = format!("{location} is deprecated");
        problems.warn(node.line, what, "write `mirrorPercentage: { value: … }`");
        if route.get("mirrorPercentage").is_some() {
            let what = format!("{location} and mirrorPercentage are both given");
            problems.error(node.line, what, "keep mirrorPercentage");
        }
        scalar::number(node, location, 0..=100, problems).map(Percent::whole)
    });
    let percent = route.take("mirrorPercentage", problems, Percent::read);
    percent.or(old).unwrap_or(Percent::ALL)
}

const MIRROR: Schema = Schema {
    read: &["destination", "percentage"],
    bookkeeping: &[],
    not_yet: &[],
};
